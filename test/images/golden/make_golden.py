"""Writes golden.json: Pillow's results for each combination that src/images/resample.ts supports.

Run with Debian's python3-pil and python3-numpy: python3 test/images/golden/make_golden.py
"""
import base64
import json
import os

import numpy
from PIL import Image

KERNELS = {
    "nearest": Image.NEAREST, "box": Image.BOX, "bilinear": Image.BILINEAR,
    "hamming": Image.HAMMING, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS,
}
here = os.path.dirname(os.path.abspath(__file__))


def source(width, height):
    """The picture of the test, made of whole numbers: no sine has to agree between two languages."""
    x, y, c = numpy.meshgrid(numpy.arange(width), numpy.arange(height), numpy.arange(3))
    values = (x * (7 + 5 * c) + y * (11 + 3 * c) + (x * y) // (5 + c) + ((x // 9 + y // 7) % 2) * 90) % 256
    return Image.fromarray(values.astype(numpy.uint8), "RGB")


def transformed(image, to, kernel, crop, pad):
    """As transformers does it: resize, then crop the centre; padded where the picture is smaller."""
    width, height = image.size
    if isinstance(to, dict) and ("shortest" in to or "longest" in to):
        edge = to.get("shortest", to.get("longest"))
        short_is_width = width <= height
        if ("shortest" in to) == short_is_width:
            size = (edge, int(edge * height / width))
        else:
            size = (int(edge * width / height), edge)
    else:
        size = (to["width"], to["height"])
    resized = image.resize(size, KERNELS[kernel])
    left, top = (size[0] - crop[0]) // 2, (size[1] - crop[1]) // 2
    if pad["place"] == "start":
        left, top = (0 if size[0] < crop[0] else left), (0 if size[1] < crop[1] else top)
    canvas = Image.new("RGB", crop, tuple(pad["colour"]))
    canvas.paste(resized, (-left, -top))
    return canvas


def without_antialias(image, size, kernel):
    """Pillow's affine transform samples without a filter for shrinking; its bilinear result is the reference."""
    matrix = (image.size[0] / size[0], 0, 0, 0, image.size[1] / size[1], 0)
    return image.transform(size, Image.AFFINE, matrix, KERNELS[kernel])


cases = []
black = {"colour": [0, 0, 0], "place": "centre"}
grey = {"colour": [114, 7, 200], "place": "start"}
for kernel in KERNELS:
    for (width, height), to, crop, pad in [
        ((61, 40), {"shortest": 18}, (16, 16), black),
        ((40, 61), {"shortest": 18}, (16, 16), black),
        ((61, 40), {"longest": 16}, (16, 16), black),
        ((61, 40), {"longest": 16}, (16, 16), grey),
        ((61, 40), {"width": 16, "height": 16}, (16, 16), black),
        ((13, 11), {"shortest": 17}, (17, 17), black),
    ]:
        cases.append({
            "source": [width, height], "to": to, "crop": crop, "pad": pad, "kernel": kernel, "antialias": True,
            "rgb": base64.b64encode(transformed(source(width, height), to, kernel, crop, pad).tobytes()).decode(),
        })
cases.append({
    "source": [61, 40], "to": {"width": 16, "height": 12}, "crop": [16, 12], "pad": black, "kernel": "bilinear",
    "antialias": False,
    "rgb": base64.b64encode(without_antialias(source(61, 40), (16, 12), "bilinear").tobytes()).decode(),
})
with open(os.path.join(here, "golden.json"), "w") as file:
    file.write("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
