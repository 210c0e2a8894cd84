"""What theory proves of a network's units, and its witnesses drawn: theory beside models, images and pictures."""
