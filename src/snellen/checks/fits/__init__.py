"""Linear maps between layers, fitted on photographs: from the pixels, to the classes, and from layer to layer."""
