use std::{collections::BTreeSet, ops::Range};

use minicbor::{Decode, Encode};
use names::{DocumentId, Reason};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{digest::DocState, hash};

mod hostile;

use hostile::{alone, assert_bounded, cells};

const KEY: SketchKey = SketchKey([0x5E; 16]);

/// Some item, always the same for the same numbers.
fn item(draw: u64, number: u64) -> Item {
    let parts: [&[u8]; 2] = [&draw.to_le_bytes(), &number.to_le_bytes()];
    Item(hash::hash32("test item", &parts))
}

fn items(draw: u64, numbers: Range<u64>) -> BTreeSet<Item> {
    numbers.map(|number| item(draw, number)).collect()
}

fn sketch<'a>(items: impl IntoIterator<Item = &'a Item>) -> Sketch {
    let mut sketch = Sketch::new(KEY);
    items.into_iter().for_each(|item| sketch.add(item));
    sketch
}

/// What a decoder ought to say, by simpler means.
fn oracle(ours: &BTreeSet<Item>, theirs: &BTreeSet<Item>) -> Differing {
    Differing {
        ours: ours.difference(theirs).copied().collect(),
        theirs: theirs.difference(ours).copied().collect(),
    }
}

/// The first cells of the difference of two sets.
fn difference(ours: &BTreeSet<Item>, theirs: &BTreeSet<Item>, cells: usize) -> Vec<Cell> {
    let of = |items: &BTreeSet<Item>| cells_of(&KEY, items.iter().copied(), 0..cells);
    subtract(&of(ours), &of(theirs))
}

/// Two sets with something in common, or nothing.
fn two_sets() -> impl Strategy<Value = (BTreeSet<Item>, BTreeSet<Item>)> {
    (any::<u64>(), 0u64..300, 0u64..150, 0u64..150).prop_map(|(draw, both, ours, theirs)| {
        let all = both + ours + theirs;
        let theirs = items(draw, 0..both)
            .union(&items(draw, both + ours..all))
            .copied()
            .collect();
        (items(draw, 0..both + ours), theirs)
    })
}

/// Takes cells one at a time until they suffice; says how many that were.
fn cells_needed(cells: &[Cell]) -> Option<(usize, Differing)> {
    let mut decoder = Decoder::new(KEY);
    cells
        .iter()
        .find_map(|cell| match decoder.take(std::slice::from_ref(cell)) {
            Ok(Answer::Complete(differing)) => Some((decoder.position(), differing)),
            Ok(Answer::More) => None,
            Err(failed) => panic!("{failed}"),
        })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Cells as a frame has them.
#[derive(Clone, PartialEq, Debug, Encode, Decode)]
struct Body {
    #[cbor(
        n(0),
        encode_with = "codec::wire::encode",
        decode_with = "codec::at_most::<CELLS_BATCH_MAX, _, _>"
    )]
    cells: Vec<Cell>,
}

fn body_round(cells: &[Cell]) -> Result<Vec<Cell>, Reason> {
    let body = Body {
        cells: cells.to_vec(),
    };
    codec::decode::<Body>(&codec::encode(&body)).map(|body| body.cells)
}

#[test]
fn an_item_is_a_row_of_an_exact_list() {
    let (document, state) = (DocumentId([1; 16]), DocState([2; 16]));
    let item = Item::new(&document, &state);
    assert_eq!((item.document(), item.state()), (document, state));
    assert_eq!(hex(&item.0), "01".repeat(16) + &"02".repeat(16));
}

#[test]
fn sketches_keep_their_value_for_ever() {
    let marked = KEY.mark(&item(1, 1));
    let of_three = sketch(&items(1, 0..3));
    let bytes = of_three.to_bytes();
    assert_eq!(
        [
            format!("{:016x} {:016x}", marked.check, marked.seed),
            format!("{:?}", marked.indices().take(8).collect::<Vec<_>>()),
            hex(&codec::encode(&Body {
                cells: of_three.cells(0..2).unwrap().to_vec()
            })),
            format!("{} {}", bytes.len(), hex(&hash::hash16("", &[&bytes]))),
        ],
        [
            "63877020160317c8 147d7812140882b5",
            "[0, 1, 2, 3, 5, 14, 42, 45]",
            "8182582967aa1f267af122aa3b917d6fa9ef1d93a74de047de7217f76e43543cc4ca54d749ddd4efbfc44eb5\
             035829f5b084fe6393b8d91e51a57829bdb503ae9491c296ebc8fe9e6c3ef2eea3d327d1b9093c211e963602",
            "44053 d2d4663730c63a63cdd874565724217c"
        ]
    );
    assert_eq!(Sketch::from_bytes(&bytes), Ok(of_three));
}

#[test]
fn cells_of_version_1_are_read_and_written_for_ever() {
    let cell = |count| Cell {
        sum: [0xAB; 32],
        check: 0x0807_0605_0403_0201,
        count,
    };
    let written: Vec<String> = [0, -1, 127, 128, -128, -129, 100_000, i64::MAX, i64::MIN]
        .iter()
        .map(|count| {
            let body = Body {
                cells: vec![cell(*count)],
            };
            let bytes = codec::encode(&body);
            assert_eq!(codec::decode(&bytes), Ok(body));
            let text = hex(&bytes);
            let front = format!("{}{}0102030405060708", &text[..8], "ab".repeat(32));
            text.strip_prefix(&front)
                .map(|count| format!("{} {count}", &text[..8]))
                .unwrap()
        })
        .collect();
    assert_eq!(
        written,
        [
            "81815829 00",
            "81815829 ff",
            "81815829 7f",
            "8181582a 8000",
            "81815829 80",
            "8181582a 7fff",
            "8181582b a08601",
            "81815830 ffffffffffffff7f",
            "81815830 0000000000000080",
        ]
    );
}

#[test]
fn a_cell_has_one_form() {
    let read = |count: &[u8]| {
        let bytes = [&[0xAB; 40][..], count].concat();
        let header = [0x81, 0x81, 0x58, u8::try_from(bytes.len()).unwrap()];
        codec::decode::<Body>(&[&header[..], &bytes].concat()).is_ok()
    };
    assert!(read(&[0]) && read(&[0x80, 0]) && read(&[1; 8]));
    assert!(!read(&[]), "no count");
    assert!(!read(&[1; 9]), "a count of 72 bits");
    assert!(!read(&[5, 0]) && !read(&[0xFB, 0xFF]), "longer than needed");
}

#[test]
fn a_batch_of_cells_is_bounded() {
    let most = vec![alone(&item(1, 1), i64::MIN); CELLS_BATCH_MAX];
    assert_eq!(body_round(&most), Ok(most.clone()));
    let more = [&most[..], &most[..1]].concat();
    assert_eq!(body_round(&more), Err(Reason::Malformed));
    assert!(codec::encode(&Body { cells: most }).len() <= 5 + CELLS_BATCH_MAX * CELL_BYTES_MAX);
    const { assert!(CELLS_BATCH_MAX * CELL_BYTES_MAX < names::limits::FILL_FRAME_BYTES) };
}

#[test]
fn a_stored_sketch_must_be_whole() {
    let mut full = sketch(&items(1, 0..9));
    for cell in &mut full.cells {
        cell.count = i64::MIN;
    }
    let bytes = full.to_bytes();
    assert_eq!(bytes.len(), SKETCH_BYTES_MAX);
    assert_eq!(Sketch::from_bytes(&bytes), Ok(full.clone()));
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(Sketch::from_bytes(&longer), Err(Reason::TooLarge));
    full.cells.pop();
    assert_eq!(Sketch::from_bytes(&full.to_bytes()), Err(Reason::Malformed));
    for cut in [0, 1, 30, bytes.len() - 1] {
        assert_eq!(Sketch::from_bytes(&bytes[..cut]), Err(Reason::Malformed));
    }
}

#[test]
fn the_first_cells_are_for_the_estimate_and_a_few_more() {
    let first = [0, 1, 2, 10, 200, 1_000].map(cells_first);
    assert_eq!(first, [32, 33, 35, 48, 352, 1_632]);
    assert_eq!(cells_first(u64::MAX), CELLS_MAX);
    assert_eq!(cells_first(CELLS_MAX as u64), CELLS_MAX);
}

#[test]
fn the_next_cells_grow_by_half_and_end() {
    assert_eq!([0, 32, 352].map(cells_next), [16, 16, 176]);
    let mut taken = cells_first(0);
    let mut rounds = 0;
    while cells_next(taken) > 0 {
        taken += cells_next(taken);
        rounds += 1;
    }
    assert_eq!((taken, rounds), (CELLS_MAX, 18));
    assert_eq!(cells_next(usize::MAX), 0);
}

#[test]
fn cells_beyond_the_kept_are_asked_for_elsewhere() {
    let sketch = sketch(&items(1, 0..9));
    assert_eq!(sketch.count(), 9);
    assert_eq!(sketch.cells(1_000..CELLS_KEPT).map(<[Cell]>::len), Some(24));
    assert_eq!(sketch.cells(1_000..CELLS_KEPT + 1), None);
    let none = cells_of(&KEY, items(1, 0..9), CELLS_MAX..CELLS_MAX + 10);
    assert_eq!(none, []);
    let last = cells_of(&KEY, items(1, 0..9), CELLS_MAX - 1..usize::MAX);
    assert_eq!(last.len(), 1);
}

/// A difference of `d` items in 200 draws: what the paper's method is known to need, measured
/// with another program (`reference/sync.md` section 3; 200 with the paper's 1.41 per item).
#[test]
#[allow(clippy::disallowed_macros)] // A test may print, and these figures are why it is here.
fn cells_needed_are_as_published() {
    const DRAWS: u64 = 200;
    for (d, published) in [
        (2, 3.2),
        (10, 16.8),
        (100, 145.0),
        (200, 283.0),
        (1_000, 1_375.0),
    ] {
        let mut needed: Vec<usize> = (0..DRAWS)
            .map(|draw| {
                let ours = items(draw, 0..d / 2);
                let theirs = items(draw, d / 2..d);
                let most = cells_first(d) * 2;
                let (needed, found) = cells_needed(&difference(&ours, &theirs, most)).unwrap();
                assert_eq!(found, oracle(&ours, &theirs));
                needed
            })
            .collect();
        needed.sort_unstable();
        let mean = needed.iter().sum::<usize>() as f64 / DRAWS as f64;
        let first = needed.iter().filter(|n| **n <= cells_first(d)).count();
        println!(
            "d = {d}: cells needed: mean {mean:.1} (published {published}), p99 {}, most {}; \
             {first} of {DRAWS} within the first {}",
            needed[197],
            needed[199],
            cells_first(d)
        );
        assert!((mean / published - 1.0).abs() < 0.15, "d = {d}: {mean}");
        assert!(first * 100 >= needed.len() * 98, "d = {d}: {first}");
    }
}

#[test]
fn equal_sets_are_known_from_one_cell() {
    let set = items(1, 0..50);
    let mut decoder = Decoder::new(KEY);
    assert_eq!(decoder.take(&[]), Ok(Answer::More), "nothing is known yet");
    let complete = Ok(Answer::Complete(Differing::default()));
    assert_eq!(decoder.take(&difference(&set, &set, 1)), complete);
    assert_eq!(decoder.position(), 1);
}

#[test]
fn a_changed_document_is_named_once() {
    let document = DocumentId([1; 16]);
    let [old, new] = [1, 2].map(|state| Item::new(&document, &DocState([state; 16])));
    let cells = difference(&[old].into(), &[new].into(), 64);
    let (_, differing) = cells_needed(&cells).unwrap();
    assert_eq!(
        (&differing.ours, &differing.theirs),
        (&vec![old], &vec![new])
    );
    assert_eq!(differing.documents(), [document].into());
}

#[test]
fn a_difference_beyond_all_cells_is_given_up() {
    let ours = items(1, 0..CELLS_MAX as u64);
    let cells = difference(&ours, &BTreeSet::new(), CELLS_MAX);
    let mut decoder = Decoder::new(KEY);
    let (last, earlier) = cells.split_last().unwrap();
    for batch in earlier.chunks(CELLS_BATCH_MAX) {
        assert_eq!(decoder.take(batch), Ok(Answer::More));
    }
    assert_eq!(decoder.take(&[*last]), Err(Unsolvable::TooManyCells));
    assert_eq!(decoder.take(&[]), Err(Unsolvable::TooManyCells));
    assert_bounded(&decoder);
}

#[test]
fn the_largest_difference_is_found() {
    let ours = items(1, 0..22_000);
    let cells = difference(&ours, &BTreeSet::new(), CELLS_MAX);
    let mut decoder = Decoder::new(KEY);
    let answers: Vec<_> = cells
        .chunks(CELLS_BATCH_MAX)
        .map(|batch| decoder.take(batch))
        .collect();
    let whole = oracle(&ours, &BTreeSet::new());
    assert_eq!(answers.last(), Some(&Ok(Answer::Complete(whole))));
    assert!(decoder.steps < 22_000 * 24, "{} steps", decoder.steps);
}

proptest! {
    #[test]
    fn exactly_the_difference_is_found((ours, theirs) in two_sets()) {
        let cells = difference(&ours, &theirs, 1_024);
        let (_, differing) = cells_needed(&cells).unwrap();
        prop_assert_eq!(differing, oracle(&ours, &theirs));
    }

    #[test]
    fn cutting_into_batches_changes_nothing(
        (ours, theirs) in two_sets(),
        cuts in vec(0usize..200, 1..12),
    ) {
        let cells = difference(&ours, &theirs, 1_024);
        let (needed, whole) = cells_needed(&cells).unwrap();
        let mut decoder = Decoder::new(KEY);
        let mut rest = &cells[..];
        for cut in cuts.into_iter().chain([cells.len()]) {
            let (batch, after) = rest.split_at(cut.min(rest.len()));
            let expected = if cells.len() - after.len() >= needed {
                Answer::Complete(whole.clone())
            } else {
                Answer::More
            };
            prop_assert_eq!(decoder.take(batch), Ok(expected));
            rest = after;
        }
        assert_bounded(&decoder);
    }

    #[test]
    fn keeping_up_equals_starting_again(
        (kept, gone) in two_sets(),
        order in any::<u64>(),
    ) {
        let mut kept_up = Sketch::new(KEY);
        // In an order of its own, with whatever goes again put in somewhere before.
        let mut all: Vec<Item> = kept.union(&gone).copied().collect();
        all.sort_by_key(|item| hash::hash16("order", &[&order.to_le_bytes(), &item.0]));
        all.iter().for_each(|item| kept_up.add(item));
        let leaving = gone.difference(&kept);
        leaving.for_each(|item| kept_up.remove(item));
        prop_assert_eq!(&kept_up, &sketch(&kept));
        prop_assert_eq!(kept_up.count(), kept.len() as i64);
        prop_assert_eq!(Sketch::from_bytes(&kept_up.to_bytes()), Ok(kept_up));
    }

    #[test]
    fn making_cells_equals_keeping_them(
        (set, _) in two_sets(),
        from in 0usize..CELLS_KEPT,
        length in 0usize..CELLS_KEPT,
        beyond in 0usize..3_000,
    ) {
        let kept = sketch(&set);
        let to = (from + length).min(CELLS_KEPT);
        let made = cells_of(&KEY, set.iter().copied(), from..to);
        prop_assert_eq!(kept.cells(from..to), Some(&made[..]));
        // And what is made in two goes is what is made in one.
        let whole = cells_of(&KEY, set.iter().rev().copied(), 0..CELLS_KEPT + beyond);
        let later = cells_of(&KEY, set.iter().copied(), CELLS_KEPT..CELLS_KEPT + beyond);
        prop_assert_eq!(kept.cells(0..CELLS_KEPT), whole.get(..CELLS_KEPT));
        prop_assert_eq!(Some(&later[..]), whole.get(CELLS_KEPT..));
    }

    #[test]
    fn cells_read_back(cells in vec(cells(), 0..20)) {
        prop_assert_eq!(body_round(&cells), Ok(cells));
    }
}
