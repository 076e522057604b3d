"""Miniature video data sets: list files word for word as their makers write them, clips of a few bytes.

Every ``put_*`` function writes one data set into a folder and takes the function that writes a video file, so that
tests of reading can write real ones.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

WriteClip = Callable[[Path], None]


def small_clip(path: Path) -> None:
    """Write a file that is there and is no video; its size tells folders apart."""
    path.write_bytes(path.as_posix().encode())


def put_text(path: Path, *lines: str, ends: str = "\n", start: bytes = b"") -> Path:
    """Write lines of text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(start + "".join(line + ends for line in lines).encode())
    return path


def put_json(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def put_clips(folder: Path, names: Iterable[str], clip: WriteClip = small_clip) -> None:
    """Write video files; names may hold folders."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        clip(path)


def put_frames(folder: Path, count: int, template: str = "img_%05d.jpg", first: int = 1) -> None:
    """Write a folder of frames (empty files: only their names matter to lists)."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        (folder / (template % number)).write_bytes(b"")


def put_tsm(root: Path) -> Path:
    """Something-Something V1 as TSM lists it: DIR FRAMES LABEL by spaces, category.txt, frames 00001.jpg."""
    put_text(root / "train_videofolder.txt", "100218 42 5", "24413 3 0")
    put_text(root / "val_videofolder.txt", "78687 3 1")
    put_text(root / "category.txt", *sorted(f"Doing thing {letter}" for letter in "abcdef"))
    for name, count in (("100218", 42), ("24413", 3), ("78687", 3)):
        put_frames(root / "20bn-something-something-v1" / name, count, "%05d.jpg")
    return root


def put_adafocus(root: Path) -> Path:
    """ActivityNet as AR-Net and AdaFocus list it: commas, a label a segment, classInd.txt, image_00001.jpg."""
    put_text(
        root / "actnet_train_split.txt",
        "v_aaaaaaaaaaa,240,0",
        "v_bbbbbbbbbbb,3,1,2",
        "v_ccccccccccc,4,2,0,1,2,2",
    )
    put_text(root / "actnet_val_split.txt", "v_ddddddddddd,3,2,2")
    put_text(root / "classInd.txt", "Zumba", "Archery", "Bowling")
    put_frames(root / "frames" / "v_aaaaaaaaaaa", 240, "image_%05d.jpg")
    for name, count in (("v_bbbbbbbbbbb", 3), ("v_ccccccccccc", 4), ("v_ddddddddddd", 3)):
        put_frames(root / "frames" / name, count, "image_%05d.jpg")
    return root


def put_mini_kinetics(root: Path) -> Path:
    """Mini-Kinetics: space lists whose class folders hold spaces."""
    put_text(root / "mini_train_videofolder.txt", "riding a bike/abc_000001_000011 3 1", "archery/def 4 0")
    put_text(root / "mini_val_videofolder.txt", "riding a bike/ghi_000002_000012 3 1")
    put_text(root / "minik_classInd.txt", "archery", "riding a bike")
    for name in ("riding a bike/abc_000001_000011", "riding a bike/ghi_000002_000012"):
        put_frames(root / "frames" / name, 3)
    put_frames(root / "frames" / "archery/def", 4)
    return root


def put_mmaction2_videos(root: Path, clip: WriteClip = small_clip) -> Path:
    """Kinetics-400 as mmaction2 lists it for video files: PATH LABEL by spaces, folders a split."""
    put_text(root / "kinetics400_train_list_videos.txt", "archery/a1.mp4 0", "bowling/b1.mp4 1")
    put_text(root / "kinetics400_val_list_videos.txt", "bowling/b2.mp4 1")
    put_clips(root / "videos_train", ["archery/a1.mp4", "bowling/b1.mp4"], clip)
    put_clips(root / "videos_val", ["bowling/b2.mp4"], clip)
    return root


def put_slowfast(root: Path, separator: str = " ", clip: WriteClip = small_clip) -> Path:
    """Kinetics as PySlowFast lists it: train.csv without header, PATH LABEL by any separator."""
    put_text(root / "train.csv", f"videos/a1.mp4{separator}0", f"videos/b, c/b1.mp4{separator}1")
    put_text(root / "val.csv", f"videos/b2.mp4{separator}1")
    put_clips(root, ["videos/a1.mp4", "videos/b, c/b1.mp4", "videos/b2.mp4"], clip)
    return root


def put_kinetics(root: Path, spell: str = "_", clip: WriteClip = small_clip) -> Path:
    """Kinetics-400's CSV files (three classes) and clips in class folders (spaces as ``spell``), the test flat."""
    header = "label,youtube_id,time_start,time_end,split,is_cc"
    put_text(
        root / "train.csv",
        header,
        "testifying,---QUuC4vJs,84,94,train,0",
        '"petting animal (not cat)",-3B32lodo2M,59,69,train,0',
    )
    put_text(root / "validate.csv", header, "air drumming,0wR5jVB-WPk,417,427,validate,1")
    put_text(root / "test.csv", "youtube_id,time_start,time_end,split", "--4-0ihtnBU,58,68,test")
    for split, label, name in (
        ("train", "testifying", "---QUuC4vJs_000084_000094"),
        ("train", "petting animal (not cat)", "-3B32lodo2M_000059_000069"),
        ("val", "air drumming", "0wR5jVB-WPk_000417_000427"),
    ):
        put_clips(root / split / label.replace(" ", spell), [f"{name}.mp4"], clip)
    put_clips(root / "test", ["--4-0ihtnBU_000058_000068.mp4"], clip)
    return root


def put_activitynet(root: Path, clip: WriteClip = small_clip) -> Path:
    """ActivityNet v1.3's JSON: four videos, one with two activities, the testing subset without annotations."""

    def video(subset: str, *labels: str) -> dict[str, object]:
        annotations = [{"label": label, "segment": [0.5, 9.75]} for label in labels]
        return {
            "annotations": annotations,
            "duration": 82.73,
            "resolution": "320x240",
            "subset": subset,
            "url": "https://www.youtube.com/watch?v=x",
        }

    database = {
        "sJFgo9H6zNo": video("validation", "Fun sliding down"),
        "V1zhqaGFY2A": video("training", "Zumba", "Beer pong", "Zumba"),
        "JDg--pjY5gg": video("testing"),
        "DWYS6Mi3sPA": video("training", "Beer pong"),
    }
    put_json(
        root / "activity_net.v1-3.min.json", {"database": database, "taxonomy": [], "version": "VERSION 1.3"}
    )
    put_clips(
        root / "videos",
        ["v_sJFgo9H6zNo.mkv", "v_V1zhqaGFY2A.mp4", "v_JDg--pjY5gg.webm", "DWYS6Mi3sPA.mp4"],
        clip,
    )
    return root


def put_something_v1(root: Path, name: str = "something-something-v1", folder: str = "20bn-{}") -> Path:
    """Something-Something V1's (or Jester's) CSV files: ID;LABEL, labels not sorted, test without labels."""
    put_text(root / f"{name}-train.csv", "1;Swiping Left", "2;Doing other things; really")
    put_text(root / f"{name}-validation.csv", "3;Drumming Fingers")
    put_text(root / f"{name}-test.csv", "4")
    put_text(root / f"{name}-labels.csv", "Swiping Left", "Doing other things; really", "Drumming Fingers")
    for clip_id in "1234":
        put_frames(root / folder.format(name) / clip_id, 2, "%05d.jpg")
    return root


def put_something_v2(root: Path, clip: WriteClip = small_clip) -> Path:
    """Something-Something V2's JSON files: templates with brackets, indices as text."""
    start = "something-something-v2"

    def entry(name: str, label: str, template: str, *placeholders: str) -> dict[str, object]:
        return {"id": name, "label": label, "template": template, "placeholders": list(placeholders)}

    put_json(
        root / f"{start}-train.json",
        [
            entry(
                "78687",
                "holding potato next to vicks",
                "Holding [something] next to [something]",
                "potato",
                "vicks",
            ),
            entry("42326", "approaching a cup", "Approaching [something] with your camera", "a cup"),
        ],
    )
    put_json(
        root / f"{start}-validation.json",
        [entry("74225", "spinning cube", "Spinning [something] that quickly stops spinning", "cube")],
    )
    put_json(root / f"{start}-test.json", [{"id": "1420"}])
    put_json(
        root / f"{start}-labels.json",
        {
            "Approaching something with your camera": "0",
            "Holding something next to something": "1",
            "Spinning something that quickly stops spinning": "2",
        },
    )
    put_clips(
        root / "20bn-something-something-v2", [f"{name}.webm" for name in (78687, 42326, 74225, 1420)], clip
    )
    return root


def put_fcvid(root: Path, clip: WriteClip = small_clip) -> Path:
    """FCVID's two files (five classes): path and split by a tab, a row of 0 and 1 a video."""
    materials = root / "materials"
    put_text(
        materials / "FCVID_VideoName_TrainTestSplit.txt",
        "accordionPerformance/--0K_j-zexM.mp4\ttrain",
        "airplane/-1F1.mp4\ttest",
        "airplane/x.flv\ttrain",
    )
    put_text(materials / "FCVID_Label.txt", "1\t0\t0\t0\t0", "0\t1\t0\t0\t1", "0\t1\t0\t0\t0")
    put_clips(
        root / "videos", ["accordionPerformance/--0K_j-zexM.mp4", "airplane/-1F1.mp4", "airplane/x.flv"], clip
    )
    return root


def put_diving48(root: Path, version: str = "V2_", clip: WriteClip = small_clip) -> Path:
    """Diving48's JSON files and vocabulary (three dives)."""

    def entry(name: str, label: int, end: int) -> dict[str, object]:
        return {"vid_name": name, "label": label, "start_frame": 0, "end_frame": end}

    put_json(
        root / f"Diving48_{version}train.json",
        [entry("-mmq0PT-u8k_00155", 0, 48), entry("-mmq0PT-u8k_00156", 2, 70)],
    )
    put_json(root / f"Diving48_{version}test.json", [entry("_8Vy3dlHg2w_00000", 1, 104)])
    put_json(
        root / "Diving48_vocab.json",
        [
            ["Back", "15som", "05Twis", "FREE"],
            ["Back", "15som", "15Twis", "FREE"],
            ["Back", "Dive", "NoTwis", "PIKE"],
        ],
    )
    put_clips(
        root / "rgb",
        [f"{name}.mp4" for name in ("-mmq0PT-u8k_00155", "-mmq0PT-u8k_00156", "_8Vy3dlHg2w_00000")],
        clip,
    )
    return root


def put_rlvs(root: Path, count: int = 10, inside: str = ".", clip: WriteClip = small_clip) -> Path:
    """RLVS: ``count`` clips in Violence and as many in NonViolence."""
    for folder, start in (("Violence", "V"), ("NonViolence", "NV")):
        put_clips(root / inside / folder, [f"{start}_{number}.mp4" for number in range(1, count + 1)], clip)
    return root


def put_divided_tree(
    root: Path, classes: Sequence[str] = ("cat", "dog"), clip: WriteClip = small_clip
) -> Path:
    """Class folders under train, val and test; clips of every split are counted anew, as people do."""
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        for label in classes:
            put_clips(root / split / label, [f"{number}.mp4" for number in range(1, count + 1)], clip)
    return root
