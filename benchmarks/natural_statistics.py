"""Measure the statistics of natural images that `snellen.images.spectra` states.

    python benchmarks/natural_statistics.py FOLDER...

prints the constants, from every image of the folders (each a folder of class folders, or flat), at 224 px.
"""

import argparse
import sys
from itertools import pairwise

import numpy as np

from snellen.images import open_images

SIZE = 224


def measure(folders: list[str]) -> dict[str, object]:
    """Colour moments over all pixels and the radial amplitude spectrum of luminance, averaged over images."""
    count, total, products = 0, np.zeros(3), np.zeros((3, 3))
    amplitude, images = np.zeros((SIZE, SIZE)), 0
    window = np.outer(np.hanning(SIZE), np.hanning(SIZE))
    for folder in folders:
        for _, batch in open_images(folder).batches((SIZE, SIZE), 64):
            pixels = batch.permute(0, 2, 3, 1).reshape(-1, 3).double().numpy()
            count, total, products = count + len(pixels), total + pixels.sum(0), products + pixels.T @ pixels
            grey = batch.mean(1).double().numpy()
            amplitude += np.abs(np.fft.fft2((grey - grey.mean((1, 2), keepdims=True)) * window)).sum(0)
            images += len(batch)
    mean = total / count
    covariance = products / count - np.outer(mean, mean)
    return {"images": images, "mean": mean, "covariance": covariance, "exponent": slope(amplitude / images)}


def slope(amplitude: np.ndarray) -> float:
    """The exponent a of amplitude ~ 1/f^a, by least squares over log-spaced rings from 3 to 80 cycles a picture."""
    frequency = np.fft.fftfreq(SIZE, 1 / SIZE)
    radius = np.hypot(frequency[:, None], frequency[None])
    edges = np.geomspace(3, 80, 25)
    rings = [(radius >= low) & (radius < high) for low, high in pairwise(edges)]
    rings = [ring for ring in rings if ring.any()]
    x = np.log([radius[ring].mean() for ring in rings])
    y = np.log([amplitude[ring].mean() for ring in rings])
    return float(-np.polyfit(x, y, 1)[0])


def color_sqrt(covariance: np.ndarray) -> np.ndarray:
    """U sqrt(S) of the covariance, its first row positive, the longest row of length 1."""
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values))[:, ::-1]
    root = root * np.sign(root[0])
    return root / np.linalg.norm(root, axis=1).max()


def main() -> None:
    """Print what was measured, in the form of the constants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+")
    found = measure(parser.parse_args().folders)
    rows = {"COLOR_MEAN": found["mean"], "COLOR_COVARIANCE": found["covariance"]}
    rows["COLOR_SQRT"] = color_sqrt(np.asarray(found["covariance"]))
    for name, value in rows.items():
        sys.stdout.write(f"{name} = {np.round(np.asarray(value), 4).tolist()}\n")
    sys.stdout.write(f"AMPLITUDE_EXPONENT = {found['exponent']:.3f}\nimages = {found['images']}\n")


if __name__ == "__main__":
    main()
