"""What an audit works on: a request, its model and images, the units in question, their photographs and pictures."""
