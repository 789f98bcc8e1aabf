"""Prediction with a trained model: the bundle, one direction's logits, the ensemble of both."""
