"Single-object tracking from files to crops: what crosses pages, on the real files and on benchmarks made on the spot"
import gzip, json, pickle, zipfile
from pathlib import Path
import cv2
import numpy as np
import pytest
import torch
from vidnb.core.testing import shared_data
from vidnb.datasets.cocovid_files import read_cocovid
from vidnb.datasets.sot_converters import (cocovid_sequences, gen_lasot_infos, gen_otb100_infos, gen_uav123_infos, gen_vot_infos, lasot2coco, nfs2coco, otb2coco, sot_cocovid,
                                           tnl2k2coco, uav2coco, vot2coco)
from vidnb.datasets.sot_datasets import BaseSOTDataset, LaSOTDataset, OTB100Dataset, RandomSampleConcatDataset, UAV123Dataset, VOTDataset
from vidnb.datasets.sot_files import (file_text, find_sot_results, find_sot_trackers, parse_sot_boxes, read_sot_boxes, read_sot_flags, rect_corners, sot_text, write_sot_boxes,
                                      write_sot_results)
from vidnb.datasets.sot_sequences import SOTSequence, find_sot_sequences, read_sot_infos, sequence_table, upright_boxes
from vidnb.transforms.compose import Compose
from vidnb.transforms.sot_crops import CropLikeSiamFC, LoadSOTFrames, SeqShiftScaleAug
from vidnb.transforms.sot_sampling import DiMPSampling, PairSampling, TridentSampling

def real(*parts): return shared_data('sot', *parts)   # conftest says by name what is missing

def loop_boxes(text):
    "What the reader does, a line at a time"
    rows = [[float(c) for c in line.replace(',', ' ').replace(';', ' ').replace('\t', ' ').split()] for line in text.splitlines() if line.strip()]
    return np.array(rows)

def line(n, x=0.): return np.stack([x + np.arange(n), np.full(n, 5.), np.full(n, 20.), np.full(n, 10.)], 1)

def film(folder, template, first, n):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n): cv2.imwrite(str(folder/(template % (first+i))), np.full((48,64,3), 10*i, np.uint8))

def text(path, s):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(s)

@pytest.mark.parametrize('sep', [',', '\t', ' ', ';', ', ', ' ,\t'])
@pytest.mark.parametrize('end', ['\n', '\r\n'])
@pytest.mark.parametrize('digits', [None, 2])
def test_separators_and_line_ends(sep, end, digits):
    rng = np.random.default_rng(0)
    boxes = rng.normal(0, 200, (40,4)) if digits is None else rng.integers(-9, 900, (40,4)).astype(float)
    boxes[7] = np.nan
    body = end.join(sep.join('NaN' if np.isnan(v) else repr(v.item()) for v in row) for row in boxes)
    for t in (body, body + end, '\ufeff' + body, end + body + end*2):
        np.testing.assert_array_equal(parse_sot_boxes(t.lstrip('\ufeff')), boxes)

def test_byte_order_mark_gzip_and_zip(tmp_path):
    plain = b'\xef\xbb\xbf1,2,3,4\r\n5,6,7,8\r\n'
    (tmp_path/'a.txt').write_bytes(plain)
    (tmp_path/'a.txt.gz').write_bytes(gzip.compress(plain))
    with zipfile.ZipFile(tmp_path/'a.zip', 'w') as z: z.writestr('x/a.txt', plain), z.writestr('x/b.txt.gz', gzip.compress(plain))
    for p in ('a.txt', 'a.txt.gz', 'a.zip/x/a.txt', 'a.zip/x/b.txt.gz'): np.testing.assert_array_equal(read_sot_boxes(tmp_path/p), [[1,2,3,4], [5,6,7,8]])
    (tmp_path/'cut.txt.gz').write_bytes(gzip.compress(plain)[:-9])
    with pytest.raises(ValueError, match='cut.txt.gz is a damaged gzip file'): read_sot_boxes(tmp_path/'cut.txt.gz')

def test_a_zip_that_changes_is_read_again(tmp_path):
    for k in (1, 22):
        with zipfile.ZipFile(tmp_path/'a.zip', 'w') as z: z.writestr('a.txt', f'{k},2,3,4')
        assert read_sot_boxes(tmp_path/'a.zip'/'a.txt')[0,0] == k

@pytest.mark.parametrize('bad,at', [('1,2,3', 1), ('1,2,3,4\n1,2,3,4,5', 2), ('1,2,3,4\n\n1,2,x,4', 3), ('1,2,3,4\n1,2,3,nan', 2), ('1,2,3,4\n-inf,2,3,4', 2), ('x,y,w,h\n1,2,3,4', 1), ('1,2,3,4\n1', 2)])
def test_a_malformed_line_is_named(tmp_path, bad, at):
    text(tmp_path/'seq.txt', bad)
    with pytest.raises(ValueError, match=f'seq.txt:{at}') as e: read_sot_boxes(tmp_path/'seq.txt')
    assert str(tmp_path) in str(e.value)

@pytest.mark.parametrize('boxes', [np.random.default_rng(0).normal(size=(30,4)), np.random.default_rng(1).integers(0, 9, (30,8)).astype(float), np.full((3,4), np.nan), np.array([[1e-300, 1e99, .1, -0.]])], ids=str)
def test_boxes_come_back_bit_by_bit(tmp_path, boxes):
    np.testing.assert_array_equal(read_sot_boxes(write_sot_boxes(boxes, tmp_path/'deep'/'a.txt')), boxes)
    assert [p.name for p in (tmp_path/'deep').iterdir()] == ['a.txt']

def test_reader_equals_a_loop_on_real_files():
    archive = real('LaSOT', 'LaSOT_test280_gt_absent.zip')
    for name in ('airplane-1', 'person-5', 'volleyball-19', 'zebra-17'):
        t = file_text(archive/'gt'/f'{name}.txt')
        np.testing.assert_array_equal(parse_sot_boxes(t), loop_boxes(t))
    for p in real('OTB', 'results').rglob('*.txt'): np.testing.assert_array_equal(read_sot_boxes(p), loop_boxes(p.read_text()))
    np.testing.assert_array_equal(read_sot_flags(real('LaSOT', 'absent', 'person-5.txt')), loop_boxes(real('LaSOT', 'absent', 'person-5.txt').read_text())[:,0])

def test_trajectories_of_vot_come_back():
    from vidnb.datasets.sot_files import parse_vot_trajectory
    for r in list(find_sot_results(real('VOT2019', 'results_Ocean_VOT2019_0.323.zip')).values())[:8]:
        raw = [[float(c) for c in l.split(',')] for l in file_text(r.runs[0]).splitlines()]
        got = r.trajectory()
        assert [i for i,c in enumerate(raw) if len(c) == 1 and c[0] == 2] == got.failed.tolist()
        np.testing.assert_array_equal(got.regions[got.code < 0], [c for c in raw if len(c) == 4])
        assert len(got) == len(raw) and np.isnan(got.regions[got.code >= 0]).all()
    with pytest.raises(ValueError, match='has one number; is this a result of VOT'): r.boxes()
    assert parse_vot_trajectory('1\n').regions.shape == (1,4)

def test_layouts_of_results(tmp_path):
    results = {f's{k}': np.random.default_rng(k).uniform(0, 50, (6,4)).round(3) for k in range(4)}
    for layout in ('plain', 'tabs', 'got10k'):
        for out in (tmp_path/layout/'T', tmp_path/layout/'U.zip'):
            write_sot_results(results, out, layout)
            got = find_sot_results(out)
            assert list(got) == sorted(results)
            for n,b in results.items(): np.testing.assert_array_equal(got[n].boxes(), b)
            assert pickle.loads(pickle.dumps(got))['s0'].boxes().shape == (6,4)
        assert list(find_sot_trackers(tmp_path/layout)) == ['T', 'U']

@pytest.fixture(scope='module')
def benchmarks(tmp_path_factory):
    d = tmp_path_factory.mktemp('benchmarks')
    for name,template,first,n,truth in (('Board', '%05d.jpg', 1, 4, {'': line(4)}), ('Tiger1', '%04d.jpg', 1, 9, {'': line(9)}), ('BlurCar3', '%04d.jpg', 1, 8, {'': line(6)}), ('Skating2', '%04d.jpg', 1, 4, {'.1': line(4), '.2': line(4, 30)})):
        film(d/'otb'/'data'/name/'img', template, first, n)
        for k,b in truth.items(): write_sot_boxes(b, d/'otb'/'data'/name/f'groundtruth_rect{k}.txt')
    for name,first in (('uav1', 2470), ('bike1', 1)): film(d/'uav'/'data_seq'/'UAV123'/name, '%06d.jpg', first, 8)
    write_sot_boxes(np.vstack([line(4), [[np.nan]*4]]), d/'uav'/'anno'/'UAV123'/'uav1_3.txt'), write_sot_boxes(line(8), d/'uav'/'anno'/'UAV123'/'bike1.txt')
    for name in ('bus-1', 'bus-2', 'cat-1'):
        p = d/'lasot'/name.split('-')[0]/name
        film(p/'img', '%08d.jpg', 1, 5), write_sot_boxes(line(5), p/'groundtruth.txt'), text(p/'full_occlusion.txt', '0,0,1,0,0'), text(p/'out_of_view.txt', '0,0,0,0,1')
    text(d/'lasot'/'testing_set.txt', 'cat-1\nbus-2\n')
    film(d/'vot'/'bag'/'color', '%08d.jpg', 1, 3), write_sot_boxes(rect_corners(line(3)), d/'vot'/'bag'/'groundtruth.txt'), text(d/'vot'/'bag'/'occlusion.tag', '0\n1'), text(d/'vot'/'list.txt', 'bag')
    film(d/'nfs'/'cup'/'30'/'cup', '%05d.jpg', 1, 3), text(d/'nfs'/'cup'/'30'/'cup.txt', ''.join(f'0 {i} 5 {20+i} 15 {i} {int(i == 1)} 0 0 "cup"\n' for i in range(3)))
    film(d/'tnl'/'test'/'cat'/'imgs', 'f%d.png', 1, 3), write_sot_boxes(line(3), d/'tnl'/'test'/'cat'/'groundtruth.txt'), text(d/'tnl'/'test'/'cat'/'language.txt', 'a cat\n')
    return d

def shade(path): return round(int(cv2.imread(str(path))[0,0,0])/10)

def test_exceptions_of_otb(benchmarks):
    s = {o.name: o for o in find_sot_sequences('otb100', benchmarks/'otb'/'data')}
    assert list(s) == ['BlurCar3', 'Board', 'Skating2-1', 'Skating2-2', 'Tiger1']
    assert {n: (len(o), shade(o.frame(0)), o.boxes[0,0]) for n,o in s.items()} == {'BlurCar3': (6,2,0.), 'Board': (4,0,0.), 'Skating2-1': (4,0,0.), 'Skating2-2': (4,0,30.), 'Tiger1': (4,5,5.)}
    table = sequence_table(s.values())
    assert table.missing.tolist() == [0]*5 and table.pictures['BlurCar3'] == 8

def test_parts_of_a_film_of_uav123(benchmarks):
    s = {o.name: o for o in find_sot_sequences('uav123', benchmarks/'uav')}
    assert (s['uav1_3'].frame(0).name, shade(s['uav1_3'].frame(0)), s['uav1_3'].visible.tolist()) == ('002473.jpg', 3, [True]*4 + [False])

@pytest.mark.parametrize('gen,cls,root,kw', [(gen_otb100_infos, OTB100Dataset, 'otb', dict(data_prefix='data')), (gen_uav123_infos, UAV123Dataset, 'uav', {}), (gen_vot_infos, VOTDataset, 'vot', {}), (gen_lasot_infos, LaSOTDataset, 'lasot', {})], ids=lambda o: getattr(o, '__name__', str(o)))
def test_infos_are_the_folders(benchmarks, tmp_path, gen, cls, root, kw):
    fn = gen(benchmarks/root, tmp_path)[-1]
    listed, there = cls(data_root=benchmarks/root, ann_file=fn, **kw), cls(data_root=benchmarks/root, **kw)
    assert [s.name for s in listed.sequences] == [s.name for s in there.sequences] and len(read_sot_infos(fn)) == len(there.sequences)
    for v in range(there.num_videos):
        a, b = listed.film(v), there.film(v)
        assert list(a['img_paths']) == list(b['img_paths']) and all(Path(p).is_file() for p in a['img_paths'])
        for k in ('bboxes', 'visible', 'bboxes_isvalid', 'frame_ids'): np.testing.assert_array_equal(a[k], b[k])

@pytest.mark.parametrize('convert,benchmark,root,kw', [(otb2coco, 'otb100', 'otb/data', {}), (uav2coco, 'uav123', 'uav', {}), (vot2coco, 'vot', 'vot', {}), (nfs2coco, 'nfs', 'nfs', {}), (tnl2k2coco, 'tnl2k', 'tnl', dict(split='test')), (lasot2coco, 'lasot', 'lasot', dict(split='test'))], ids=lambda o: getattr(o, '__name__', str(o)))
def test_converted_and_back(benchmarks, tmp_path, convert, benchmark, root, kw):
    said = []
    fn, = convert(benchmarks/root, tmp_path, tell=said.append, **kw)
    seqs = {s.name: s for s in find_sot_sequences(benchmark, benchmarks/root, *kw.values())}
    back = cocovid_sequences(fn, benchmarks/root)
    assert [s.name for s in back] == list(seqs)
    for s in back:
        t = seqs[s.name]
        np.testing.assert_array_equal(s.boxes, upright_boxes(t.boxes))
        assert (s.frames, s.visible.tolist(), s.size) == (t.frames, t.visible.tolist(), (64,48))
    assert said == (['1 frames of 1 sequences have no box, and get no annotation'] if benchmark == 'uav123' else [])
    from vidnb.datasets.cocovid import CocoVID
    assert len(CocoVID(str(fn)).get_vid_ids()) == len(seqs)

def test_flags_of_lasot_are_in_the_annotations(benchmarks, tmp_path):
    fn = lasot2coco(benchmarks/'lasot', tmp_path, 'train')[0]
    assert [(a['full_occlusion'], a['out_of_view'], a['visible']) for a in read_cocovid(fn)['annotations']] == [(0,0,True), (0,0,True), (1,0,False), (0,0,True), (0,1,False)]

def test_flags_that_do_not_fit_are_an_error(benchmarks, tmp_path):
    s = SOTSequence('a', tmp_path, line(5), hidden=(np.zeros(4, int),))
    with pytest.raises(ValueError, match='has 4 flags; a has 5 boxes'): s.visible

class Keep:
    def __call__(self, results): return dict(frames=np.asarray(results['frame_id']), boxes=np.asarray(results['gt_bboxes']))

@pytest.mark.parametrize('sampler', [PairSampling(20), DiMPSampling(2, 2, 30), TridentSampling()], ids=lambda s: type(s).__name__)
def test_draws_follow_the_seed_in_every_process(sampler):
    films = [SOTSequence(n, Path(n), line(60, k), hidden=(np.arange(60) % 3 == k,)) for k,n in enumerate('abc')]
    films = [SOTSequence(s.name, s.folder, s.truth, hidden=tuple(h.astype(np.int64) for h in s.hidden)) for s in films]
    data = RandomSampleConcatDataset([BaseSOTDataset(sequences=films, pipeline=[sampler, Keep()])]*2, [1,2], seed=7)
    alone = [data[i] for i in range(len(data))]
    for workers in (0, 2):
        got = list(torch.utils.data.DataLoader(data, batch_size=None, num_workers=workers))
        for a,b in zip(alone, got, strict=True): np.testing.assert_array_equal(a['frames'], b['frames'])
    np.random.seed(0)
    np.testing.assert_array_equal(data[3]['boxes'], alone[3]['boxes'])
    data.set_epoch(1)
    assert any(not np.array_equal(data[i]['boxes'], alone[i]['boxes']) for i in range(len(data)))

def test_a_pair_from_the_disk_to_its_crops():
    data = OTB100Dataset(data_root=real('OTB'), pipeline=[PairSampling(30, 1.), LoadSOTFrames(), CropLikeSiamFC(), SeqShiftScaleAug()], seed=1)
    out = data[0]
    assert [im.shape for im in out['imgs']] == [(127,127,3), (255,255,3)] and out['gt_bboxes'].dtype == np.float32
    assert ((out['gt_bboxes'] >= 0) & (out['gt_bboxes'] <= np.array([[127],[255]]))).all() and len(out['img_path']) == 2
    for a,b in zip(out['imgs'], data[0]['imgs']): np.testing.assert_array_equal(a, b)

def test_a_chain_knows_what_it_lacks():
    with pytest.raises(ValueError, match='CropLikeSiamFC reads imgs'): Compose([PairSampling(), CropLikeSiamFC()], inputs=('videos',))

def test_pysot_and_toolkit_agree_on_the_bag(tmp_path):
    regions = read_sot_boxes(real('vot15_bag', 'groundtruth.txt'))
    s = SOTSequence('bag', real('vot15_bag', 'imgs'), regions)
    data = sot_cocovid([s], real('vot15_bag'))
    assert len(data['annotations']) == 196 and data['images'][0]['width'] == 480
    text(tmp_path/'x.json', json.dumps({'bag': dict(img_names=[p.name for p in s.frames], gt_rect=regions.tolist())}))
    from vidnb.datasets.sot_sequences import read_pysot_json
    np.testing.assert_array_equal(read_pysot_json(tmp_path/'x.json')[0].boxes, regions)
    assert sot_text(regions[:1]).count(',') == 7

def test_nfs_with_one_box_more_than_pictures(tmp_path):
    for name,lines in (('mug', 25), ('cup', 24), ('pan', 17)):
        film(tmp_path/name/'30'/name, '%05d.jpg', 1, 3)
        text(tmp_path/name/'30'/f'{name}.txt', ''.join(f'0 {i/8} 5 {20+i/8} 15 {i} 0 0 0 "{name}"\n' for i in range(lines)))
    assert {s.name: (len(s), len(s.frames), len(s.boxes)) for s in find_sot_sequences('nfs', tmp_path)} == {'cup': (3,3,3), 'mug': (3,3,4), 'pan': (3,3,3)}

def test_tnl2k_as_it_is_unpacked(tmp_path):
    film(tmp_path/'TNL2K_test_subset'/'cat'/'imgs', '%05d.png', 1, 3), write_sot_boxes(line(3), tmp_path/'TNL2K_test_subset'/'cat'/'groundtruth.txt')
    text(tmp_path/'att'/'cat_attribute.txt', ','.join('1' + '0'*15 + '1'))
    s, = find_sot_sequences('tnl2k', tmp_path, 'test')
    assert (s.name, s.attributes) == ('cat', ['CM', 'MS'])

def test_boxes_of_tiger1_that_do_not_count(tmp_path):
    "OTB begins Tiger1 with picture 6; a result may have boxes for the five before it"
    from vidnb.datasets.sot_report import sot_report
    film(tmp_path/'Tiger1'/'img', '%04d.jpg', 1, 20), write_sot_boxes(line(20) + [10,0,0,0], tmp_path/'Tiger1'/'groundtruth_rect.txt')
    pred = line(20) + [12,0,0,0]
    pred[0] += 40
    for name,b in (('late', pred[5:]), ('early', pred)): write_sot_results({'Tiger1': b}, tmp_path/'r'/name)
    got = {n: sot_report(tmp_path, tmp_path/'r'/n) for n in ('late', 'early')}
    assert got['late'].table.iloc[0].tolist() == got['early'].table.iloc[0].tolist()
    assert any('Tiger1 has a box for each of the 5 frames that do not count' in n for n in got['early'].notes) and not any('do not count' in n for n in got['late'].notes)
    write_sot_results({'Tiger1': pred[:17]}, tmp_path/'r'/'odd')
    with pytest.raises(ValueError, match='Tiger1: the result has 17 boxes, the truth 15'): sot_report(tmp_path, tmp_path/'r'/'odd')

def test_times_in_a_folder_of_their_own(tmp_path):
    "As the package got10k writes them for OTB"
    text(tmp_path/'T'/'car.txt', '1.000,2.000,3.000,4.000\n1.000,2.000,3.000,4.000\n'), text(tmp_path/'T'/'times'/'car_time.txt', '0.00000000\n0.02000000\n')
    found = find_sot_results(tmp_path/'T')
    assert list(found) == ['car'] and found['car'].fps() == pytest.approx(50)

def test_matlab_results_on_the_command_line(tmp_path):
    from scipy.io import savemat
    import subprocess, sys, os
    for n in ('ape', 'bee_1'):
        write_sot_boxes(line(9) + 10, tmp_path/'truth'/f'{n}.txt')
        for t,d in (('KCF', 0), ('my_own', 3)):
            (tmp_path/'results_OPE').mkdir(exist_ok=True)
            savemat(tmp_path/'results_OPE'/f'{n}_{t}.mat', dict(results=dict(res=line(9) + 10 + [d,0,0,0], type='rect', len=9, annoBegin=1, startFrame=1)))
    out = subprocess.run([sys.executable, '-c', 'from vidnb.cli import main; main()', 'eval', 'sot', '--truth', str(tmp_path/'truth'), '--pred', str(tmp_path/'results_OPE'), '--out', str(tmp_path/'out')], capture_output=True, text=True, env=dict(os.environ, MPLBACKEND='Agg'))
    assert out.returncode == 0, out.stderr[-500:]
    import pandas as pd
    assert list(pd.read_csv(tmp_path/'out'/'scores.csv', index_col=0).index) == ['KCF', 'my_own']

def test_text_beside_the_same_result_as_mat(tmp_path):
    from scipy.io import savemat
    for k in range(2): write_sot_boxes(line(4), tmp_path/'T'/f'car-{k}.txt'), savemat(tmp_path/'T'/f'car-{k}.mat', dict(results=dict(res=line(4) + 1, type='rect')))
    savemat(tmp_path/'T'/'car-2.mat', dict(results=dict(res=line(4) + 1, type='rect')))
    assert {n: (r.runs[0].name, float(r.boxes()[0,0])) for n,r in find_sot_results(tmp_path/'T').items()} == {'car-0': ('car-0.txt', 0.), 'car-1': ('car-1.txt', 0.), 'car-2': ('car-2.mat', 1.)}
    assert find_sot_trackers(tmp_path/'T') == {'T': tmp_path/'T'}
