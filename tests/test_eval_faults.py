"""`vidnb eval` on damaged archives and on files of another kind: one line that names the file, whatever the kind of evaluation.

Each kind reads through its own page; what is held here is that none of them answers a broken file with a traceback."""
import gzip
import json
import zipfile
import pytest
from vidnb.cli import main

MOT = b''.join(b'%d,%d,%d,10,20,40,1,1,1\n' % (f, i, 30*i + f) for f in range(1, 60) for i in (1, 2, 3))
BOXES = b''.join(b'%d,%d,20,30\n' % (10 + k % 7, 20 + k*k % 11) for k in range(200))
COCO = json.dumps(dict(videos=[dict(id=1, name='v')], categories=[dict(id=1, name='c')], images=[dict(id=k, video_id=1, frame_id=k-1, file_name=f'{k}.jpg', width=64, height=48) for k in range(1, 30)],
                       annotations=[dict(id=k, image_id=k, video_id=1, category_id=1, instance_id=0, bbox=[1., 2., 10., 10. + k], area=100, iscrowd=0) for k in range(1, 30)])).encode()
FOUND = json.dumps([dict(image_id=k, category_id=1, bbox=[1., 2., 10., 10. + k], score=1/k) for k in range(1, 30)]).encode()
MASKS = b''.join(b'%d 2001 2 4 4 0`0\n' % f for f in range(1, 60))   # a mask of 16 pixels
KINDS = dict(mot=('A.txt', MOT, 'A.txt', MOT), sot=('B.txt', BOXES, 'B.txt', BOXES), vid=('t.json', COCO, 'p.json', FOUND), vis=('t.json', COCO, 'p.json', b'[]'*300), mots=('M.txt', MASKS, 'M.txt', MASKS))

def run(capsys, *args):
    status = main([str(o) for o in args])
    return status, capsys.readouterr().err.strip().splitlines()

def bent(raw, start=20, n=40):
    "Bytes as a broken disk gives them back"
    return raw[:start] + bytes(o ^ 0x5a for o in raw[start:start+n]) + raw[start+n:]

@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('side', ('truth', 'pred'))
def test_bent_gzip(kind, side, tmp_path, capsys):
    "A damaged gzip file is named, be it truth or result"
    paths = {}
    for s,(name,raw) in zip(('truth', 'pred'), (KINDS[kind][:2], KINDS[kind][2:])):
        (tmp_path/s).mkdir()
        paths[s] = tmp_path/s/(name + '.gz'*(s == side))
        paths[s].write_bytes(bent(gzip.compress(raw)) if s == side else raw)
    if kind == 'vis' and side == 'pred': paths['truth'].write_bytes(COCO.replace(b'"area"', b'"segmentation": [[0, 0, 9, 0, 9, 9]], "area"'))
    status, said = run(capsys, 'eval', kind, '--truth', paths['truth'], '--pred', paths['pred'])
    assert status == 1 and len(said) == 1 and str(paths[side]) in said[0], said

@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('where', ('content', 'list'))
def test_bent_zip(kind, where, tmp_path, capsys):
    "So is a damaged zip, be it what is in it or its list that is broken"
    name, raw, member, found = KINDS[kind]
    (tmp_path/name).write_bytes(raw.replace(b'"area"', b'"segmentation": [[0, 0, 9, 0, 9, 9]], "area"') if kind == 'vis' else raw)
    with zipfile.ZipFile(tmp_path/'p.zip', 'w', zipfile.ZIP_DEFLATED) as z: z.writestr(member, found)
    whole = (tmp_path/'p.zip').read_bytes()
    (tmp_path/'p.zip').write_bytes(bent(whole, 40, 8) if where == 'content' else bent(whole, whole.rindex(b'PK\x01\x02'), 4))
    status, said = run(capsys, 'eval', kind, '--truth', tmp_path/name, '--pred', tmp_path/'p.zip')
    assert status == 1 and len(said) == 1 and 'p.zip' in said[0], said

@pytest.mark.parametrize('lacks', ('bbox', 'image_id', 'category_id'))
def test_truth_without_a_key(lacks, tmp_path, capsys):
    "A box of the truth that lacks a key, or is of a category that there is none of, is no traceback and is not dropped"
    data = json.loads(COCO)
    del data['annotations'][3][lacks]
    for name,o in (('t.json', data), ('p.json', json.loads(FOUND))): (tmp_path/name).write_text(json.dumps(o))
    status, said = run(capsys, 'eval', 'vid', '--truth', tmp_path/'t.json', '--pred', tmp_path/'p.json')
    assert status == 1 and len(said) == 1 and lacks in said[0], said
    data['annotations'][3] |= dict(bbox=[1,2,3,4], image_id=4, category_id=9)
    (tmp_path/'t.json').write_text(json.dumps(data))
    status, said = run(capsys, 'eval', 'vid', '--truth', tmp_path/'t.json', '--pred', tmp_path/'p.json')
    assert status == 1 and 'category 9' in said[0], said
