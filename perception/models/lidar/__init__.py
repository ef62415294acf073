"""Networks that label LiDAR points, without compiled operators."""
