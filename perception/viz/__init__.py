"""Drawing: overlays, videos, and the HTML report."""
