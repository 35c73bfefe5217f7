"""Whitening of CIFAR-10 measured again, by other code: eigenvectors, weights, weighted kNN, all in numpy.

Says whether `likeness evaluate --model models/whitening-cifar10` measures rightly (256 dimensions, regularisation 0.02), and what other whitenings
give: every dimension, or the regularisation that is best on held-out images (1). Regularisation in units of the mean eigenvalue, as in
src/training/whitening.ts; 10,000 test images against 50,000 training images, cosine.

    python3 bench/anchors/whitening_anchor.py CIFAR10_FOLDER 256:0.02 256:1 256:0.1 3072:0.1 ...
"""
import sys

import numpy as np

CLASSES = 10
CHUNK = 500
VOTES = ((200, 0.1), (20, 0.07))


def read(folder: str, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    raw = np.concatenate([np.fromfile(f"{folder}/{name}.bin", np.uint8).reshape(-1, 3073) for name in names])
    return raw[:, 1:].astype(np.float32) / 255 - 0.5, raw[:, 0].astype(np.int64)


def votes(queries: np.ndarray, labels: np.ndarray, database: np.ndarray, database_labels: np.ndarray) -> list[float]:
    right = np.zeros(len(VOTES))
    most = max(k for k, _ in VOTES)
    for first in range(0, len(queries), CHUNK):
        cosines = queries[first : first + CHUNK] @ database.T
        near = np.argpartition(-cosines, most, axis=1)[:, :most]
        near = np.take_along_axis(near, np.argsort(-np.take_along_axis(cosines, near, 1), axis=1), 1)
        for index, (k, temperature) in enumerate(VOTES):
            weight = np.exp(np.take_along_axis(cosines, near[:, :k], 1).astype(np.float64) / temperature)
            tally = np.stack([(weight * (database_labels[near[:, :k]] == c)).sum(1) for c in range(CLASSES)], 1)
            right[index] += (tally.argmax(1) == labels[first : first + CHUNK]).sum()
    return [100 * count / len(queries) for count in right]


def main() -> None:
    folder, *settings = sys.argv[1:]
    train, train_labels = read(folder, [f"data_batch_{i}" for i in range(1, 6)])
    test, test_labels = read(folder, ["test_batch"])
    mean = train.mean(0)
    train -= mean
    test -= mean
    values, axes = np.linalg.eigh((train.T @ train).astype(np.float64) / len(train))
    values, axes = values[::-1], axes[:, ::-1].astype(np.float32)
    train, test = train @ axes, test @ axes
    for setting in settings:
        dimensions, regularisation = int(setting.split(":")[0]), float(setting.split(":")[1])
        weight = (1 / np.sqrt(np.maximum(values, 0) + regularisation * values.mean()))[:dimensions].astype(np.float32)
        unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (part[:, :dimensions] * weight for part in (train, test))]
        accuracies = votes(unit[1], test_labels, unit[0], train_labels)
        words = ", ".join(f"{accuracy:.2f} % (k={k}, T={t})" for accuracy, (k, t) in zip(accuracies, VOTES))
        print(f"{dimensions} dimensions, regularisation {regularisation:g}: {words}", flush=True)


main()
