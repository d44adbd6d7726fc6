# A second data set for the study: which photograph is this a crop of? The photographs are those of Debian's package
# lomiri-wallpapers-16.04. Each is a class, and a grid of tiles: a quarter of them gives test images, the others training
# images, and no crop reaches over the edge of its tile, so that none of one kind has a pixel in common with the other.
#
#   tests/crops.py FOLDER [TRAIN TEST]     FOLDER/train, FOLDER/test: 400 and 100 PNG of 32 x 32 of each photograph
import glob
import os
import random
import sys

from PIL import Image

SIDE, TILES = 32, 4  # pixels of a crop; tiles a side
SHORT = 768  # pixels of a photograph's shorter side
SMALLEST, LARGEST = 64, 128  # of it, that become a crop

folder = sys.argv[1]
counts = {"train": int(sys.argv[2]) if len(sys.argv) > 2 else 400, "test": int(sys.argv[3]) if len(sys.argv) > 3 else 100}
photographs = sorted(glob.glob("/usr/share/backgrounds/*_by_*.jpg"))
if not photographs:
    sys.exit("no photographs: apt-get install lomiri-wallpapers-16.04")
for path in photographs:
    name = os.path.splitext(os.path.basename(path))[0]
    draw = random.Random(name)
    with Image.open(path) as photograph:
        scale = SHORT / min(photograph.size)
        image = photograph.convert("RGB").resize([round(scale * n) for n in photograph.size], Image.BOX)
    tiles = [(x, y) for x in range(TILES) for y in range(TILES)]
    draw.shuffle(tiles)
    of = {"test": tiles[: len(tiles) // 4], "train": tiles[len(tiles) // 4 :]}
    wide, high = image.width // TILES, image.height // TILES
    for split, count in counts.items():
        to = os.path.join(folder, split, name)
        os.makedirs(to, exist_ok=True)
        for i in range(count):
            side = draw.randint(SMALLEST, LARGEST)
            x, y = draw.choice(of[split])
            left = x * wide + draw.randint(0, wide - side)
            top = y * high + draw.randint(0, high - side)
            crop = image.resize((SIDE, SIDE), Image.BOX, (left, top, left + side, top + side))
            crop.save(os.path.join(to, "%04d.png" % i))
