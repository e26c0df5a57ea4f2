"""Contrastive training on films with reports or labels (`filmroom adapt`), and the bundled model's recipe."""
