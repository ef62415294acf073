"""Results in the official nuScenes formats, and the official figures of them."""
