"""A backdoored InstructPix2Pix that two CPU cores can train, and the data it is trained on."""
