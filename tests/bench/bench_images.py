# Photographs of the size that ImageNet's have, cut from those of Debian's package lomiri-wallpapers-16.04; and the time
# that torchvision's pipeline (on PIL images, as SimSiam's published code has it) takes for them on one core.
#
#   bench_images.py make DIR N        bench_images.py time DIR IMAGES
import glob
import os
import random
import sys
import time

from PIL import Image, ImageFilter

PHOTOGRAPHS = "/usr/share/backgrounds/*.jpg"


def make(out, n):
    rng = random.Random(1)
    photographs = [Image.open(f).convert("RGB") for f in sorted(glob.glob(PHOTOGRAPHS))]
    if not photographs:
        sys.exit("no photographs: apt-get install lomiri-wallpapers-16.04")
    for k in range(n):
        photograph = photographs[k % len(photographs)]
        width, height = (500, 375) if k % 4 else (375, 500)
        scale = rng.uniform(1, 2)
        w, h = int(min(photograph.width, width * scale)), int(min(photograph.height, height * scale))
        x, y = rng.randrange(photograph.width - w + 1), rng.randrange(photograph.height - h + 1)
        folder = "%s/train/%d" % (out, k % 10)
        os.makedirs(folder, exist_ok=True)
        image = photograph.crop((x, y, x + w, y + h)).resize((width, height), Image.LANCZOS)
        image.save("%s/%04d.jpg" % (folder, k), quality=92)


class Blur:
    def __call__(self, image):
        return image.filter(ImageFilter.GaussianBlur(radius=random.uniform(0.1, 2.0)))


def measure(directory, images):
    import torch
    from torchvision import transforms

    torch.set_num_threads(1)
    random.seed(1)
    torch.manual_seed(1)
    view = transforms.Compose([
        transforms.RandomResizedCrop(224, scale=(0.2, 1.0)),
        transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
        transforms.RandomGrayscale(p=0.2),
        transforms.RandomApply([Blur()], p=0.5),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ])
    files = sorted(glob.glob(directory + "/train/*/*.jpg"))

    def one(i):
        with open(files[i % len(files)], "rb") as f:
            image = Image.open(f).convert("RGB")
        return view(image), view(image)

    for i in range(10):
        one(i)
    begun = time.perf_counter()
    for i in range(images):
        one(i)
    print("who=torchvision images_s=%.2f" % (images / (time.perf_counter() - begun)))


if sys.argv[1] == "make":
    make(sys.argv[2], int(sys.argv[3]))
else:
    measure(sys.argv[2], int(sys.argv[3]))
