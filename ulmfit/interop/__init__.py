"""Models of fastai 2: import and export."""
