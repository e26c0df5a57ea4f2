"""Contrastive training of a model folder on films with reports or labels (`filmroom adapt`), and the bundled model's recipe."""
