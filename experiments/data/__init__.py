"""Datasets, each as arrays with one canonical numbering."""
