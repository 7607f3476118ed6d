"""One file a format; `robolearn.motions.reading` chooses by what a file is."""
