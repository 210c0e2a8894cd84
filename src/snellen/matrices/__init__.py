"""The matrix: networks, each honest and manipulated in several ways, and what an audit says of every one of them."""
