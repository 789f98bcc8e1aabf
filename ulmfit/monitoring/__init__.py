"""Monitoring: whether new text has drifted away from what a model learned from. Figures, effect sizes and limits; nothing is trained."""
