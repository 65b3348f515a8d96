"""What every server of ours needs: a model that loads in the background, photos kept ready, a port, limits."""
