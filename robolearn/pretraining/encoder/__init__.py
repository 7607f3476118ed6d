"""Pretraining of image encoders by masked autoencoding: `robolearn pretrain encoder`."""
