"""DICOM files written here with pydicom, as they are and as they should not be."""

from pathlib import Path

import numpy as np
import pytest
from pwm_fluoroscopy.dicom.field import visible_field
from pwm_fluoroscopy.dicom.reader import DicomVideo
from pwm_fluoroscopy.modality import Fluoroscopy
from pwm_fluoroscopy.photons import photon_transfer
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, XRayAngiographicImageStorage

from pwm_core.errors import BadFile, BadValue

MEASURED = Path(__file__).parents[4] / "shared/data/fluoroscopy/coronary_cine_XA.dcm"


def counts(frames=6, size=48, seed=0):
    """Simulated counts, whole numbers, brighter on the right."""
    rng = np.random.default_rng(seed)
    mean = np.broadcast_to(np.linspace(200, 900, size), (frames, size, size))
    return (4 * rng.poisson(mean / 4)).astype(np.uint16)


def written(folder, video=None, syntax=ExplicitVRLittleEndian, **attributes):
    """A file with these attributes; None leaves one out."""
    video = counts() if video is None else video
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID = XRayAngiographicImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    bits = 8 * video.dtype.itemsize
    facts = {
        "SOPClassUID": XRayAngiographicImageStorage, "SOPInstanceUID": "1.2.3", "Modality": "XA",
        "NumberOfFrames": len(video), "Rows": video.shape[1], "Columns": video.shape[2], "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": bits, "BitsStored": min(bits, 12),
        "HighBit": min(bits, 12) - 1, "PixelRepresentation": 0, "FrameTime": 40.0,
        "ImagerPixelSpacing": [0.3, 0.3], "PixelIntensityRelationship": "LIN", "PixelData": video.tobytes(),
    }  # fmt: skip
    for name, value in {**facts, **attributes}.items():
        if value is not None:
            setattr(ds, name, value)
    path = Path(folder, "cine.dcm")
    ds.save_as(path, enforce_file_format=True)
    return path


def read(path, **settings):
    return DicomVideo(**settings).read(path)


def test_a_video_comes_back_with_its_times_and_lengths(tmp_path):
    problem = read(written(tmp_path, AveragePulseWidth=5.0))
    np.testing.assert_array_equal(problem.y, counts())
    assert problem.y.dtype == np.float32
    assert problem.pixel_size == pytest.approx((0.04, 0.3, 0.3))
    assert problem.units == ("s", "mm", "mm")
    assert problem.operator.pulse.width == 5.0
    assert problem.operator.detector.frame_time == 40.0
    assert problem.mask is None


def test_quanta_are_found_from_the_noise():
    gain, readout = photon_transfer(counts(12, 96))
    assert gain == pytest.approx(4, rel=0.06)
    assert readout < 12
    noisy = counts(12, 96) + 40 * np.random.default_rng(1).standard_normal((12, 96, 96))
    gain, readout = photon_transfer(noisy)
    assert readout == pytest.approx(40, rel=0.1)


def test_a_recorded_simulation_is_nearly_the_same_problem_again(tmp_path):
    modality = Fluoroscopy(frames=10, size=64, quanta=60.0, gain=8.0, pixel=0.3)
    problem, truth = modality.simulate("vessels")
    y = np.clip(np.round(problem.y), 0, 4095).astype(np.uint16)
    again = read(written(tmp_path, y, FrameTime=1000 / 30))
    detector = again.operator.detector
    assert detector.gain == pytest.approx(8, rel=0.35)  # the panel's lag takes some of the noise away
    assert modality.residuals(again.operator(again.initial), again)["reduced chi2"] == pytest.approx(
        1, abs=0.35
    )
    both = again.initial - again.initial.mean(), truth.x - truth.x.mean()
    assert np.corrcoef(both[0].ravel(), both[1].ravel())[0, 1] > 0.9


def test_part_of_a_video_can_be_read(tmp_path):
    problem = read(written(tmp_path), frames="1:5", crop="8:40,:36", bin=2, gain=4.0)
    expected = counts()[1:5, 8:40, :36].reshape(4, 16, 2, 18, 2).mean((2, 4))
    np.testing.assert_allclose(problem.y, expected)
    assert problem.pixel_size == pytest.approx((0.04, 0.6, 0.6))


@pytest.mark.parametrize("wrong", ["5", "1-5", "a:b"])
def test_a_range_must_be_a_range(tmp_path, wrong):
    with pytest.raises(BadValue, match="must be first:stop"):
        read(written(tmp_path), frames=wrong)


def test_pixels_serve_where_their_size_is_unknown(tmp_path):
    problem = read(written(tmp_path, ImagerPixelSpacing=None))
    assert problem.units == ("s", "px", "px")
    assert problem.pixel_size[1:] == (1.0, 1.0)


def enhanced(**frame):
    """Functional groups as enhanced XA keeps them."""
    shared, properties = Dataset(), Dataset()
    properties.ImagerPixelSpacing = [0.2, 0.2]
    properties.PixelIntensityRelationship = "LIN"
    shared.FramePixelDataPropertiesSequence = Sequence([properties])
    for name, value in frame.items():
        setattr(properties, name, value)
    return {
        "SharedFunctionalGroupsSequence": Sequence([shared]),
        "ImagerPixelSpacing": None,
        "FrameTime": None,
    }


def test_functional_groups_are_read(tmp_path):
    problem = read(written(tmp_path, **enhanced(FrameTime=50.0)))
    assert problem.pixel_size == pytest.approx((0.05, 0.2, 0.2))


def test_the_clock_of_an_enhanced_file_gives_the_frame_time(tmp_path):
    groups = []
    for n in range(6):
        group, content = Dataset(), Dataset()
        content.FrameAcquisitionDateTime = f"20240101120000.{66667 * n:06d}"
        group.FrameContentSequence = Sequence([content])
        groups.append(group)
    facts = {**enhanced(), "PerFrameFunctionalGroupsSequence": Sequence(groups)}
    assert read(written(tmp_path, **facts)).pixel_size[0] == pytest.approx(0.066667)


@pytest.mark.parametrize(
    ("timing", "expected"),
    [({"FrameTimeVector": [0, 30, 40, 30, 40, 30]}, 34.0), ({"CineRate": 25}, 40.0)],
)
def test_other_ways_to_say_the_time(tmp_path, timing, expected):
    path = written(tmp_path, FrameTime=None, **timing)
    assert read(path).operator.detector.frame_time == pytest.approx(expected)
    assert read(path, frame_time=20.0).operator.detector.frame_time == 20.0


def test_values_that_fall_with_the_intensity_are_turned(tmp_path):
    for facts in ({"PhotometricInterpretation": "MONOCHROME1"}, {"PixelIntensityRelationshipSign": -1}):
        problem = read(written(tmp_path, 4095 - counts(), **facts))
        np.testing.assert_array_equal(problem.y, counts())
    kept = {"PhotometricInterpretation": "MONOCHROME1", "PixelIntensityRelationshipSign": 1}
    np.testing.assert_array_equal(read(written(tmp_path, **kept)).y, counts())
    np.testing.assert_array_equal(read(written(tmp_path, 4095 - counts()), inverted=True).y, counts())


def test_logarithmic_values_are_made_linear(tmp_path):
    y = counts()
    stored = np.round(4095 * np.log1p(y) / np.log1p(4095)).astype(np.uint16)
    problem = read(written(tmp_path, stored, PixelIntensityRelationship="LOG"))
    np.testing.assert_allclose(problem.y, y, rtol=2e-3)


def test_rescaled_values_are_used(tmp_path):
    problem = read(written(tmp_path, RescaleSlope=0.5, RescaleIntercept=10.0, RescaleType="US"))
    np.testing.assert_allclose(problem.y, 0.5 * counts() + 10)


def test_the_collimator_is_seen(tmp_path):
    y = counts(6, 64)
    y[:, :, :9] = 2
    y[:, :, -9:] = 2
    problem = read(written(tmp_path, y))
    assert not problem.mask[:, :9].any()
    assert problem.mask[:, 13:-13].all()
    assert problem.operator.node("collimator").mask.sum() == problem.mask.sum()
    assert np.isfinite(problem.initial).all()
    assert read(written(tmp_path, y), field="whole").mask is None


def test_the_stated_shutter_counts(tmp_path):
    circle = {"ShutterShape": "CIRCULAR", "CenterOfCircularShutter": [24, 24], "RadiusOfCircularShutter": 15}
    mask = read(written(tmp_path, **circle)).mask
    y, x = np.indices(mask.shape) - 23
    np.testing.assert_array_equal(mask, np.hypot(y, x) <= 15)
    sides = {"UpperHorizontal": 5, "LowerHorizontal": 40, "LeftVertical": 7, "RightVertical": 45}
    edges = {f"Collimator{k}Edge": v for k, v in sides.items()}
    mask = read(written(tmp_path, CollimatorShape="RECTANGULAR", **edges)).mask
    assert mask.sum() == (40 - 5 - 1) * (45 - 7 - 1)
    with pytest.raises(BadFile, match="its edges are missing"):
        read(written(tmp_path, CollimatorShape="RECTANGULAR"))


def test_a_dark_organ_inside_is_no_collimator():
    y = np.full((3, 60, 60), 100.0)
    y[:, 20:40, 20:40] = 0.5
    assert visible_field(y).all()


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"PixelData": None}, "holds no pixel data"),
        ({"Modality": "US"}, "is of modality US; fluoroscopy reads XA and RF"),
        ({"SamplesPerPixel": 3}, "3 samples a pixel, a colour video"),
        ({"NumberOfFrames": None}, "holds a single image"),
        ({"Rows": None}, "does not say the size of its images"),
        ({"FrameTime": None}, "give it as --assume frame_time=33ms"),
        ({"FrameTime": -3.0}, "FrameTime is '-3.0', expected a positive number"),
        ({"ImagerPixelSpacing": [0.0, 0.3]}, "expected two positive lengths"),
        ({"ImagerPixelSpacing": [0.2, 0.3]}, "only square ones"),
        ({"PixelIntensityRelationship": "ODD"}, "expected LIN, LOG or DISP"),
        ({"NumberOfFrames": 60}, "its frames are damaged"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, attributes, words):
    with pytest.raises(BadFile, match=words):
        read(written(tmp_path, **attributes))


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "cine.dcm"
    path.write_bytes(b"not dicom" * 100)
    with pytest.raises(BadFile, match="is not a DICOM file"):
        read(path)
    whole = written(tmp_path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadFile, match=r"cine\.dcm"):
        read(path)
    with pytest.raises(BadFile, match="all pixels of its frames are equal"):
        read(written(tmp_path, np.zeros((4, 32, 32), np.uint16)))
    with pytest.raises(BadFile, match="lies outside the file"):
        read(written(tmp_path), frames="2:99")


def test_an_unknown_compression_names_what_to_install(tmp_path):
    from pydicom.encaps import encapsulate

    path = written(tmp_path, syntax=JPEGLSLossless, PixelData=encapsulate([b"\xff\xd8\xff\xd9"] * 6))
    with pytest.raises(BadFile, match=r"pip install pylibjpeg|damaged"):
        read(path)


def test_the_measured_cine_is_explained_by_the_model(capsys):
    """x ← max(x + ln(H(x)/y), 0) from the first estimate fits the measured video to its own noise."""
    if not MEASURED.exists():
        pytest.skip("the measured data are not here")
    problem = read(MEASURED, frames="40:48", bin=2)
    modality, operator, x = Fluoroscopy(), problem.operator, problem.initial
    for _ in range(8):
        step = np.log(np.maximum(operator(x), 1e-3) / np.maximum(problem.y, 1e-3))
        x = np.where(problem.mask, np.maximum(x + 0.8 * step, 0), x).astype(np.float32)
    before, after = (modality.residuals(operator(v), problem) for v in (problem.initial, x))
    with capsys.disabled():
        print(
            f"\n  measured cine: reduced chi2 {before['reduced chi2']:.3g} -> {after['reduced chi2']:.3g}, "
            f"residual {before['residual']:.3g} -> {after['residual']:.3g}"
        )
    assert problem.units == ("s", "px", "px")
    assert 0.7 < problem.mask.mean() < 0.85
    assert after["residual"] < 0.01
    assert after["reduced chi2"] < 1.5
