"""One file per head. A head names the pyramid level that it reads and maps it to logits or to a fixed-shape
prediction."""
