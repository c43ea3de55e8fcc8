"""The tiny models of the examples: draws the faces that they edit, and loads them."""
