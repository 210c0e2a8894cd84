"""The command line's words as functions, one file a word, with the same options; and what they return."""
