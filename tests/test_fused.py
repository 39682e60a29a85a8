"Several learners scored as one, on files of which some cannot be read."
import shutil
import numpy as np
import pytest
import torch
from vidnb.core.testing import test_same
from vidnb.learn.learner import video_learner
from vidnb.learn.metrics import MeanAveragePrecision, TopKAccuracy, fuse_preds
from vidnb.loading.loaders import VideoDataLoaders
from vidnb.metrics.recognition import mean_average_precision
from vidnb.models.recognizers import tiny3d
from vidnb.video.writer import write_video

pytestmark = pytest.mark.filterwarnings('ignore:.*could not be read')

@pytest.fixture(scope='module')
def root(tmp_path_factory):
    "Seven validation videos of two classes; the second of the first class is an empty file"
    root = tmp_path_factory.mktemp('fused')
    for split,n in (('train', 2), ('valid', 4)):
        for k,c in enumerate('ab'):
            for i in range(n - (split == 'valid' and k)):
                fn = root/split/c/f'{i}.mp4'
                fn.parent.mkdir(parents=True, exist_ok=True)
                write_video(fn, np.random.default_rng(10*k+i).integers(0, 255, (8, 32, 32, 3), dtype=np.uint8), fps=8)
    (root/'valid'/'a'/'1.mp4').write_bytes(b'')
    return root

def loaders(root, on_fault, **kw):
    return VideoDataLoaders.from_folder(root, clip_len=4, size=32, bs=3, num_workers=0, on_fault=on_fault, **kw)

def test_an_epoch_in_uneven_batches_scores_what_was_read(root):
    torch.manual_seed(0)
    learn = video_learner(loaders(root, 'skip'), tiny3d, metrics=[MeanAveragePrecision(), TopKAccuracy(1)])
    preds,targs = learn.get_preds(act=lambda x: x)
    test_same(len(preds), 6)
    test_same(learn.validate()[1], mean_average_precision(preds.numpy(), targs.numpy()), eps=1e-6)

def test_fused_rows_are_the_videos_that_all_could_read(root):
    torch.manual_seed(0)
    learners = [video_learner(loaders(root, 'skip'), tiny3d) for _ in range(2)]
    parts = [l.get_preds()[0] for l in learners]
    fused,targs = fuse_preds(learners, [1, 3])
    test_same(fused, parts[0]/4 + 3*parts[1]/4, eps=1e-6)
    test_same(targs, torch.tensor([0, 0, 0, 1, 1, 1]))
    mended = root.parent/'mended'
    shutil.copytree(root, mended)
    shutil.copy(mended/'valid'/'a'/'0.mp4', mended/'valid'/'a'/'1.mp4')
    whole = video_learner(loaders(mended, 'skip'), tiny3d)
    fused,targs = fuse_preds([whole, learners[0]])
    test_same(fused, (whole.get_preds()[0][[0, 2, 3, 4, 5, 6]] + parts[0])/2, eps=1e-6)
    test_same(targs, torch.tensor([0, 0, 0, 1, 1, 1]))

def test_learners_of_other_classes_are_refused(root, tmp_path):
    shutil.copytree(root, tmp_path/'x')
    for split in ('train', 'valid'): (tmp_path/'x'/split/'b').rename(tmp_path/'x'/split/'c')
    with pytest.raises(ValueError, match="different classes"): fuse_preds([video_learner(loaders(r, 'skip'), tiny3d) for r in (root, tmp_path/'x')])

def test_what_callbacks_call_their_own_is_no_part_of_a_recogniser(root, recwarn):
    "fastai's learner passes the attributes of its model on, and warns of a callback that sets one of the same name"
    learn = video_learner(loaders(root, 'skip'), tiny3d)
    learn.fit(1)
    test_same([str(w.message) for w in recwarn if 'shadowing' in str(w.message)] == [], True)
