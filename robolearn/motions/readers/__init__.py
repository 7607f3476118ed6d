"""One module per format; `robolearn.motions.reading` chooses by the kind of file."""
