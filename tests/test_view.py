"Pictures of what a real learner learned, from its files to what is drawn: maps, mistakes, confusion, points, curves."
import numpy as np
import matplotlib.pyplot as plt
import pytest
import torch
from fastai.metrics import accuracy
from fastai.torch_core import set_seed
from vidnb.core.plot import make_strip
from vidnb.core.testing import expect_error, shared_data, test_same
from vidnb.learn.learner import load_video_learner, norm_of, plain_progress, video_learner
from vidnb.learn.runs import RunFolder, plot_runs, read_csv
import vidnb.learn.seeing
from vidnb.loading.loaders import TensorClip, VideoDataLoaders
from vidnb.models.recognizers import find_arch, tiny3d
from vidnb.video.reader import open_video
from vidnb.video.writer import write_video
from vidnb.view.cam import deletion_curve, grad_cam, stretch_map
from vidnb.view.results import VideoInterpretation

side, n_frames = 48, 16

def spot(kind, seed, at=None, first=None):
    "Frames in which only a bright (0) or dark (1) spot says the class; it shows for a quarter of the time. And its mask"
    rng = np.random.default_rng(seed)
    y,x = rng.integers(0, side-14, 2) if at is None else at
    first = int(rng.integers(0, 12)) if first is None else first
    frames = np.full((n_frames, side, side, 3), 120, np.uint8) + rng.integers(0, 20, (n_frames, side//4, side//4, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
    mask = np.zeros(frames.shape[:3], bool)
    mask[first:first+4, y:y+14, x:x+14] = True
    frames[mask] = 15 if kind else 245
    return frames,mask

@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('spots')
    for i in range(20):
        for k,c in enumerate(('bright', 'dark')): write_video(root/('valid' if i >= 16 else 'train')/c/f'{i:02}.mp4', spot(k, 2*i+k)[0], fps=8, preset='ultrafast')
    odd = root/'valid'/'bright'/'wrong.mp4'   # a dark one under the label of a bright one
    write_video(odd, spot(1, 999)[0], fps=8, preset='ultrafast')
    return root

@pytest.fixture(scope='module')
def learn(root):
    set_seed(0)
    dls = VideoDataLoaders.from_folder(root, clip_len=8, frame_interval=2, size=side, bs=8, num_workers=0, area_range=(.95, 1.))
    learn = video_learner(dls, tiny3d, metrics=accuracy, path=root, arch_kw=dict(base_channels=8, spatial_strides=(1,1,1), temporal_strides=(1,1,1)), cbs=RunFolder(root/'runs', 'spots', tensorboard=False))
    plain_progress(learn, out=lambda s: None)
    learn.fit_one_cycle(8, 5e-3)
    learn.rows = [list(r) for r in learn.recorder.values]   # a validation later writes over them
    assert learn.rows[-1][2] > .8
    return learn

def in_spot(cam, mask):
    "Share of a map on the spot, and share of the clip that is spot"
    return float(cam.heat[mask[::2]].sum()/cam.heat.sum()), float(mask.mean())

@pytest.mark.parametrize('at,first', [((2,2), 0), ((2,32), 12), ((32,2), 6)])
def test_the_map_of_a_file_lies_on_what_tells_the_class(learn, tmp_path, at, first):
    for kind,name in enumerate(('bright', 'dark')):
        frames,mask = spot(kind, 5, at, first)
        write_video(tmp_path/'a.mp4', frames, fps=8)
        cam = learn.cam(tmp_path/'a.mp4')
        share,area = in_spot(cam, mask)
        assert cam.label == name and share > 4*area
        t,y,x = np.unravel_index(cam.heat.argmax(), cam.heat.shape)
        assert first-2 <= 2*t <= first+5 and at[0]-4 <= y <= at[0]+18 and at[1]-4 <= x <= at[1]+18

def test_what_the_map_points_at_is_what_the_score_hangs_on(learn):
    xb,yb = learn.dls.valid.one_batch()
    x,y = xb.as_subclass(torch.Tensor),yb.as_subclass(torch.Tensor)
    with torch.no_grad(): y = learn.model.eval()(x).argmax(1)
    maps = grad_cam(learn.model, x, y)[0]
    pointed = deletion_curve(learn.model, x, maps, y, (0,.05,.1))
    chance = np.mean([deletion_curve(learn.model, x, torch.rand(maps.shape, generator=torch.Generator().manual_seed(i)), y, (0,.05,.1)) for i in range(3)], 0)
    test_same(pointed[0], chance[0], eps=1e-5)
    assert (pointed[1:].mean(1) < chance[1:].mean(1) - .02).all()

def test_a_map_leaves_the_learner_as_it_was(learn):
    learn.model.train()
    learn.model.backbone.layer1.eval()
    before = [m.training for m in learn.model.modules()], {k:v.clone() for k,v in learn.model.state_dict().items()}
    frames = spot(0, 3)[0][::2]
    learn.cam(frames); learn.clip_vectors()
    with expect_error(ValueError, 'gives no map'): learn.cam(frames, layer='cls_head.fc_cls')
    test_same([m.training for m in learn.model.modules()], before[0])
    test_same(learn.model.state_dict(), before[1])
    assert not any(m._forward_hooks for m in learn.model.modules())

def test_a_video_of_a_map_has_the_frames_beside_their_heat(learn, tmp_path):
    frames,mask = spot(0, 8, (30,30), 4)
    cam = learn.cam(frames[::2], 'bright')
    with open_video(cam.write(tmp_path/'o.mp4', size=96)) as r: got = r.get_batch(range(8)).astype(int)
    test_same(got.shape, (8,96,192,3))
    left,right = got[:,30:,:96],got[:,30:,96:]
    moved = np.abs(left-right).mean(-1)
    heat = stretch_map(cam.heat, (8,96,96))[:,30:]
    assert np.corrcoef(moved.ravel(), heat.ravel())[0,1] > .7
    assert moved[heat < .02].mean() < 8

def test_the_file_with_the_wrong_label_comes_first(learn):
    interp = VideoInterpretation.from_learner(learn)
    table = interp.top_losses()
    assert table.file.iloc[0].endswith('wrong.mp4') and (table.actual.iloc[0], table.predicted.iloc[0]) == ('bright', 'dark')
    test_same(table.loss.to_numpy(), np.sort(interp.losses)[::-1])
    test_same(table.loss.to_numpy(), -np.log(table.prob_actual.to_numpy()), eps=1e-4)
    ax = interp.plot_top_losses(2, n=4, tile=40)
    test_same(ax.images[0].get_array()[:40], make_strip(interp.clip(int(table.index[0])), 4, 40))
    assert 'bright/wrong.mp4' in ax.texts[2].get_text() and ax.texts[0].get_text() == 'dark\nnot bright'
    ax = interp.plot_most_confused(1, n=4, tile=40)
    test_same(ax.images[0].get_array(), make_strip(interp.clip(int(table.index[0])), 4, 40))
    ax = interp.plot_cams(1, n=4, tile=40)
    test_same(ax.images[0].get_array()[:40], make_strip(interp.clip(int(table.index[0])), 4, 40))
    said,true = (interp.cam(int(table.index[0]), t) for t in (None, 'actual'))
    assert (said.label, true.label) == ('dark', 'bright') and said.prob > true.prob

def test_what_the_confusion_matrix_draws(learn):
    interp = VideoInterpretation.from_learner(learn)
    cm = interp.confusion_matrix()
    ax = interp.plot_confusion_matrix(order=None)
    shown = ax.images[1].get_array().filled(0) + ax.images[0].get_array().filled(0)
    test_same(shown, cm/cm.sum(1, keepdims=True), eps=1e-9)
    ax = interp.plot_confusion_matrix()
    test_same({(round(t.get_position()[1]), round(t.get_position()[0])): int(t.get_text()) for t in ax.texts}, {(i,j): int(v) for (i,j),v in np.ndenumerate(cm) if v})
    whole,part = interp.plot_confusion_matrix(zoom=True)
    test_same(len(part.get_yticklabels()), 2)

def test_results_show_what_was_predicted(learn):
    ax = learn.show_results(max_n=9, n=4, tile=40, shuffle=False)
    preds,_ = learn.get_preds()
    words = [t.get_text().split('\n')[0] for t in (ax or plt.gca()).texts]
    test_same(words, [learn.dls.vocab[i] for i in preds.argmax(1)][:len(words)])
    assert len(words) >= 8

def test_points_are_the_vectors_of_the_files(learn):
    v = learn.clip_vectors()
    assert v.purity(2) > .6 and len(v) == 9   # one of them has a wrong label
    x = norm_of(learn.dls.valid)(TensorClip(torch.as_tensor(np.stack([v.clip(i) for i in range(9)]))), split_idx=1).as_subclass(torch.Tensor)
    with torch.no_grad(): test_same(v.x, learn.model.eval().features(x, 'backbone').double().numpy(), eps=1e-5)
    for i in (0, 5):
        with open_video(v.names[i]) as r: test_same(v.clip(i), r.get_batch(range(0, 16, 2)))
        assert v.vocab[v.labels[i]] in v.names[i]
    ax = v.plot()
    test_same(sum(len(c.get_offsets()) for c in ax.collections), 9)
    test_same(sorted(t.get_text() for t in ax.texts), ['bright', 'dark'])
    ax = v.show_neighbours(4, 2, n=3, tile=40)
    test_same(ax.images[0].get_array()[:40], make_strip(v.clip(4), 3, 40))

def test_the_curve_of_a_run_is_its_recorder(learn, root):
    ax = plot_runs(root/'runs', 'accuracy')
    test_same(ax.lines[0].get_ydata(), np.array([r[2] for r in learn.rows]), eps=1e-6)
    ax = plot_runs(root/'runs', 'loss', x='seconds')
    x,table = ax.lines[0].get_xdata(),read_csv(root/'runs'/'spots'/'metrics.csv')
    test_same(x[3::4], table.seconds.to_numpy(), eps=1e-9)   # four batches an epoch

@pytest.mark.parametrize('name', ['yoga.mp4', 'vertical_skateboarding_dog.mp4', 'keyboard_video_90.mov', 'rotated180_vfr_fire2.mp4'])
def test_real_files_of_any_shape_and_length(learn, name):
    fn = shared_data('videos', name)
    one = learn.cam(fn, 'dark')
    test_same((one.frames.shape, one.label, len(one.times)), ((8,side,side,3), 'dark', 8))
    with open_video(fn) as r: stamps = r.timestamps - r.timestamps[0]
    assert np.isin(one.times.round(6), stamps.round(6)).all()
    assert 0 <= one.heat.min() and one.heat.max() <= 1 and np.isfinite(one.maps).all()
    ax = one.show(n=4)
    test_same(len(ax.lines[0].get_ydata()), 8)

def test_an_opened_learner_sees_too(learn, tmp_path):
    frames = spot(1, 77)[0][::2]
    learn.path = tmp_path
    again = load_video_learner(learn.export('m.pth'))
    test_same(again.cam(frames, 'dark').maps, learn.cam(frames, 'dark').maps, eps=1e-4)

@pytest.mark.parametrize('name,shape', [('tsn_mobilenet_v2', (4,64,64)), ('csn_r50', (8,64,64)), ('tpn_slowonly_r50', (4,64,64)), ('timesformer_space_b', (8,32,32))])
def test_architectures_by_name(name, shape):
    small = dict(csn_r50=dict(base_channels=8), tpn_slowonly_r50=dict(base_channels=8), timesformer_space_b=dict(embed_dims=24, num_heads=2, num_transformer_layers=2, img_size=32, patch_size=8)).get(name, {})
    torch.manual_seed(0)
    model = find_arch(name)(3, **small).eval()
    maps,classes,scores,layers = grad_cam(model, torch.randn(2, 3, *shape))
    assert maps.shape[0] == 2 and maps.ndim == 4 and scores.shape == (2,3) and np.isfinite(maps).all()
    test_same(classes, scores.argmax(1))
    with torch.no_grad(): assert layers[0] in dict(model.named_modules())
