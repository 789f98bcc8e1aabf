"""Models of fastai 2, in and out."""
