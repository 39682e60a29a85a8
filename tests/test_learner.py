"A learner on real videos, in and out of files and processes."
import subprocess, sys
import numpy as np
import torch
import torchvision
from fastai.losses import BCEWithLogitsLossFlat
from fastai.torch_core import set_seed
from vidnb.core.testing import shared_data, test_same
from vidnb.learn.learner import VideoLearner, load_video_learner, plain_progress, video_learner
from vidnb.loading.loaders import VideoDataLoaders
from vidnb.models.recognizers import tiny3d
from vidnb.video.reader import open_video
from vidnb.video.writer import write_video
import pytest

@pytest.fixture(scope='module')
def dls(tmp_path_factory):
    "Two classes that differ in the order of their frames only: a bar that moves to the left or to the right"
    root = tmp_path_factory.mktemp('bars')
    for i in range(12):
        rng = np.random.default_rng(i)
        frames = rng.integers(0, 60, (16, 32, 48, 3), dtype=np.uint8)
        for t in range(16): frames[t, :, 2*t + i % 6:2*t + i % 6 + 6] = 220
        for c,f in (('right', frames), ('left', frames[::-1])):
            fn = root/('valid' if i >= 9 else 'train')/c/f'{i}.mp4'
            fn.parent.mkdir(parents=True, exist_ok=True)
            write_video(fn, f, fps=8)
    return VideoDataLoaders.from_folder(root, clip_len=8, frame_interval=2, size=32, bs=6, num_workers=0, area_range=(.9, 1.))

@pytest.fixture(scope='module')
def learn(dls):
    set_seed(1)
    learn = video_learner(dls, tiny3d)
    plain_progress(learn, out=lambda s: None)
    learn.fit_one_cycle(8, 5e-3)
    return learn

def test_training_learns_the_order_of_frames(learn):
    preds,targs = learn.get_preds()
    test_same(float((preds.argmax(1) == targs).float().mean()) >= 5/6, True)

def test_reversing_a_held_out_video_turns_its_label(learn, dls):
    fn = next(f for f,l in dls.valid.items if l == 'right')
    with open_video(fn) as r: frames = r.get_batch(range(0, 16, 2))
    forward, back = (learn.predict(f)[2][list(dls.vocab).index('right')].item() for f in (frames, frames[::-1].copy()))
    test_same(forward > .5 > back, True)

def test_a_file_opened_in_another_process_predicts_the_same(learn, dls, tmp_path):
    learn.path = tmp_path
    fn, video = learn.export('m.pth'), dls.valid.items[0][0]
    code = f"from vidnb.learn.learner import load_video_learner as l; print(l({str(fn)!r}).predict({video!r}, num_clips=2)[2].tolist())"
    out = subprocess.run([sys.executable, '-W', 'ignore', '-c', code], capture_output=True, text=True, check=True).stdout
    test_same(np.array(eval(out.splitlines()[-1], {})), learn.predict(video, num_clips=2)[2].double().numpy(), eps=1e-5)

@pytest.mark.parametrize('name,seconds', [('yoga.mp4', 10.), ('v_ApplyEyeMakeup_g01_c01.avi', 6.56), ('vertical_skateboarding_dog.mp4', 14.08), ('keyboard_video_90.mov', .1)])
def test_real_videos_of_any_length_and_shape(learn, name, seconds):
    fn = shared_data('videos', name)
    label,i,probs = learn.predict(fn)
    test_same(probs.sum().item(), 1., eps=1e-5)
    pred = learn.predict_video(fn)
    test_same(pred.scores.sum(1), np.ones(len(pred.spans), np.float32), eps=1e-5)
    test_same(float(pred.spans[-1,1]), seconds, eps=.15)
    test_same(bool((np.diff(pred.spans[:,0]) > 0).all()) and pred.spans[0,0] == 0, True)

def test_several_labels_survive_export(dls, tmp_path):
    files = [f for f,_ in dls.train.items][:8]
    multi = VideoDataLoaders.from_lists(tmp_path, files, [['a', 'b'], ['b']]*4, valid_idx=[0, 1], clip_len=4, size=32, bs=2, num_workers=0)
    one = video_learner(multi, tiny3d)
    test_same(isinstance(one.loss_func, BCEWithLogitsLossFlat), True)
    twin = load_video_learner(one.export('multi.pth'))
    labels,mask,probs = twin.predict(files[0])
    test_same(labels, [v for v,p in zip(['a', 'b'], probs) if p > .5])
    test_same(probs, one.predict(files[0])[2], eps=1e-6)

def test_an_architecture_of_your_own_is_asked_for(dls, tmp_path):
    def mine(n_out, pretrained=False): return tiny3d(n_out)
    own = video_learner(dls, mine)
    own.path = tmp_path
    fn, video = own.export('own.pth'), dls.valid.items[0][0]
    with pytest.raises(ValueError, match='architecture of your own'): load_video_learner(fn)
    test_same(load_video_learner(fn, arch=mine).predict(video)[2], own.predict(video)[2], eps=1e-6)

def test_torchvisions_video_model_comes_back_by_name(dls, tmp_path):
    tv = video_learner(dls, torchvision.models.video.r3d_18)
    tv.path = tmp_path
    twin, video = load_video_learner(tv.export('tv.pth')), dls.valid.items[0][0]
    test_same(twin.arch, 'torchvision:r3d_18')
    test_same(twin.predict(video)[2], tv.predict(video)[2], eps=1e-5)

def test_a_failed_export_keeps_the_last_good_file(learn, tmp_path):
    learn.path = tmp_path
    fn = learn.export('m.pth')
    good = fn.read_bytes()
    learn.arch_kw = dict(hook=print)   # needs pickled code to come back
    try:
        with pytest.raises(ValueError, match='was not written'): learn.export('m.pth')
    finally: learn.arch_kw = {}
    test_same([f.name for f in tmp_path.iterdir()], ['m.pth'])
    test_same(fn.read_bytes() == good, True)

@pytest.mark.parametrize('arch', ['slowonly_r18', 'tsm_r18', 'torchvision:resnet18'])
def test_published_weights_from_a_file_of_the_same_format(dls, tmp_path, arch):
    "What `pretrained=True` downloads, made here: every layer of the body must come from it, and fine_tune then begins with the head"
    torch.manual_seed(3)
    published = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(published, tmp_path/'resnet18.pth')
    a, b = (video_learner(dls, arch, arch_kw=dict(weights=str(tmp_path/'resnet18.pth'))) for _ in range(2))
    random = video_learner(dls, arch)
    body = lambda l: torch.cat([p.detach().flatten() for p in l.model.backbone.parameters()])
    test_same(body(a), body(b))
    test_same(bool((body(a) == body(random)).float().mean() < .1), True)
    test_same(body(a).abs().sum().item(), sum(v.abs().sum().item() for k,v in published.items() if v.dtype.is_floating_point and 'running' not in k and not k.startswith('fc')), eps=2.)
    test_same([a.pretrained, random.pretrained], [True, False])
    kernels = lambda: torch.cat([p.detach().flatten() for p in a.model.backbone.parameters() if p.ndim > 1])
    before, head = kernels(), a.model.cls_head.fc_cls.weight.detach().clone()
    plain_progress(a, out=lambda s: None)
    a.freeze()
    a.fit_one_cycle(1, 1e-2)
    test_same(kernels(), before)
    test_same(bool((a.model.cls_head.fc_cls.weight != head).any()), True)
    a.path = tmp_path
    twin, video = load_video_learner(a.export('w.pth')), dls.valid.items[0][0]
    test_same(twin.predict(video)[2], a.predict(video)[2], eps=1e-5)

def test_the_seeds_pipeline_trains_in_the_same_loop(dls, tmp_path):
    from vidnb.datasets.base import build_dataset
    vocab = list(dls.vocab)
    sets = []
    for name,items in (('train', dls.train.items), ('valid', dls.valid.items)):
        (tmp_path/f'{name}.csv').write_text(''.join(f'{f},{vocab.index(l)}\n' for f,l in items))
        pipeline = [dict(type='OpenCVInit'), dict(type='SampleFrames', clip_len=8, frame_interval=2, test_mode=name == 'valid'), dict(type='OpenCVDecode'),
                    dict(type='Resize', scale=(-1, 32)), dict(type='CenterCrop', crop_size=32), dict(type='FormatShape', input_format='NCTHW'),
                    dict(type='Collect', keys=['imgs', 'label'], meta_keys=[]), dict(type='ToTensor', keys=['imgs', 'label'])]
        sets.append(build_dataset(dict(type='VideoDataset', ann_file=str(tmp_path/f'{name}.csv'), pipeline=pipeline)))
    other = VideoDataLoaders.from_dset(*sets, vocab=vocab, bs=6, num_workers=0)
    set_seed(1)
    one = video_learner(other, tiny3d)
    plain_progress(one, out=lambda s: None)
    one.fit_one_cycle(8, 5e-3)
    interp = one.interpret()
    test_same(float((interp.decoded == interp.targs).mean()) >= 5/6, True)
    test_same(interp.clip(0).shape, (8, 32, 32, 3))
    its = other.valid.show_batch(show=False)[2]
    test_same([str(o[1]) for o in its[:6]], [vocab[int(sets[1].video_infos[i]['label'])] for i in range(6)])
    with pytest.raises(ValueError, match='give clip=LoadClip'): one.predict(dls.valid.items[0][0])
