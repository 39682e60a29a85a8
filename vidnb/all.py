"""All of vidnb and of fastai's vision for a notebook: `from vidnb.all import *`

Where both have a name (`Resize`, `Normalize`, `RandomResizedCrop`, `top_k_accuracy`, ...) vidnb's wins. A program should import
from the module it needs. This file is written by hand; a test holds that no module is forgotten."""
import vidnb.core.environment  # before fastai: it keeps a warning of fastai's out of every notebook
from fastai.vision.all import *

from vidnb.core.environment import *
from vidnb.core.plot import *
from vidnb.core.testing import *
from vidnb.metrics.recognition import *
from vidnb.video.files import *
from vidnb.video.index import *
from vidnb.video.pyav import *
from vidnb.video.reader import *
from vidnb.video.rawframes import *
from vidnb.video.faults import *
from vidnb.video.writer import *
from vidnb.video.synth import *
from vidnb.video.jobs import *
from vidnb.video.prepare import *
from vidnb.video.extract import *
from vidnb.transforms.compose import *
from vidnb.transforms.decoding import *
from vidnb.transforms.sampling import *
from vidnb.transforms.dense_sampling import *
from vidnb.transforms.proposal_sampling import *
from vidnb.transforms.geometry import *
from vidnb.transforms.crops import *
from vidnb.transforms.boxes import *
from vidnb.transforms.colour import *
from vidnb.transforms.augment import *
from vidnb.transforms.formatting import *
from vidnb.transforms.mixing import *
from vidnb.transforms.images import *
from vidnb.transforms.localization import *
from vidnb.datasets.base import *
from vidnb.datasets.annotations import *
from vidnb.datasets.published import *
from vidnb.datasets.recognition import *
from vidnb.loading.samplers import *
from vidnb.loading.dataloader import *
from vidnb.loading.guarded import *
from vidnb.loading.loaders import *
from vidnb.loading.show import *
from vidnb.models.layers import *
from vidnb.models.backbones2d import *
from vidnb.models.shift import *
from vidnb.models.interlace import *
from vidnb.models.resnet3d import *
from vidnb.models.r2plus1d import *
from vidnb.models.csn import *
from vidnb.models.slowfast import *
from vidnb.models.losses import *
from vidnb.models.heads import *
from vidnb.models.recognizers import *
from vidnb.models.more_recognizers import *
from vidnb.view.results import *
from vidnb.learn.learner import *
from vidnb.learn.metrics import *
from vidnb.learn.mixing import *
from vidnb.bench.benchmarks import *
from vidnb.bench.bench_data import *
from vidnb.bench.loader_bench import *
