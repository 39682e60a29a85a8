"""Recognise, localise, track, detect, segment and re-identify in video, from a notebook

Modules:

- `vidnb.all`: All of vidnb and of fastai's vision for a notebook: `from vidnb.all import *`
- `vidnb.bench.benchmarks`: How fast vidnb is, always beside something else on the same work in the same run
- `vidnb.cli`: `vidnb demo`, `vidnb predict`, `vidnb bench`, `vidnb env`
- `vidnb.core.doctools`: README.md from the index page, without Quarto, and pages whose headings stay in the page contents
- `vidnb.core.environment`: Seeds, progress, the cache folder, files that are whole or absent, and what is installed here
- `vidnb.core.plot`: A clip as a strip of frames, clips as labelled rows, sampled frames on a time line, a label drawn into a frame
- `vidnb.core.testing`: Assertions that fail when the code is wrong, and the one contract every model signs
- `vidnb.datasets.base`: A list of samples and a pipeline: what every dataset of vidnb is
- `vidnb.datasets.recognition`: Labelled videos, and labelled folders of frames
- `vidnb.learn.learner`: One call from data and an architecture to a fastai `Learner` that trains, predicts on files of any length, and can be sent to someone
- `vidnb.learn.metrics`: The scores of the papers as fastai metrics, so that they stand in the table of epochs
- `vidnb.loading.dataloader`: The seed's way to a batch: samples that are dictionaries, stacked key by key
- `vidnb.loading.loaders`: From files, a folder, a table or a dataset to fastai's `DataLoaders`, with pixels kept as bytes until they reach the device
- `vidnb.loading.show`: A batch as rows of frames, with labels, and with predictions beside them
- `vidnb.metrics.recognition`: How often the right class comes first, or among the first few, and which classes are taken for each other
- `vidnb.models.backbones2d`: ResNet under the zoo's names, filled from torchvision's weights, and any other 2D network as a feature extractor
- `vidnb.models.heads`: From feature maps to one row of class scores, and the loss that trains it
- `vidnb.models.layers`: Convolution, norm and activation under the names of the model zoo, and how their numbers start
- `vidnb.models.recognizers`: A backbone and a head make a model of videos; views in, one row of scores a video out
- `vidnb.models.resnet3d`: Kernels with a length in time: I3D and SlowOnly, started from an image network's weights
- `vidnb.models.shift`: Motion for nothing: a few channels of every frame come from its neighbours (TSM)
- `vidnb.transforms.colour`: From grey levels to the numbers a network was trained on
- `vidnb.transforms.compose`: A pipeline is a list; what each step reads and writes is declared, so a wrong list is refused when it is built
- `vidnb.transforms.decoding`: Frame indices in, frames out: the steps that open a file and read from it
- `vidnb.transforms.formatting`: The last steps of a pipeline: axes in a network's order, arrays to tensors, and only what a batch needs
- `vidnb.transforms.geometry`: Crop, resize and flip whole clips: frames and a box in, frames out
- `vidnb.transforms.sampling`: Which frames a model sees: a video's length in, frame indices out
- `vidnb.video.rawframes`: The same reader over images that somebody extracted: RGB frames, or pairs of optical-flow images
- `vidnb.video.reader`: A file and frame numbers in, exactly those frames out, whichever library decodes them
- `vidnb.video.synth`: Real mp4 files made on the spot, whose class is a motion that no single frame shows
- `vidnb.video.writer`: RGB frames in, a file out that every player opens, or no file at all
- `vidnb.view.results`: What a classifier says of a video over time, and where it is wrong on a validation set, as pictures"""

__version__ = "0.0.1"
