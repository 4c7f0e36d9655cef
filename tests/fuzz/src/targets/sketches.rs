//! Set sketches: cells of a peer's, as they came or as nobody could have made them.

use std::collections::BTreeSet;

use protocol::{
    Cell, Sketch, SketchKey, codec,
    sketch::{
        Answer, CELLS_BATCH_MAX, CELLS_KEPT, CELLS_MAX, Decoder, Item, cells_first, cells_next,
        cells_of, subtract,
    },
};

use crate::draw::{Draw, piece};

/// Items of one side: more take long, and are no different.
const ITEMS_MAX: usize = 200;

/// Whatever cells come, decoding ends; of honest cells it finds exactly what differs. The first byte
/// says how the rest is read.
pub(super) fn run(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    match draw.byte() % 3 {
        0 => kept(draw.rest()),
        1 => made_up(draw),
        _ => between_sets(draw),
    }
}

/// A sketch as a store keeps it.
fn kept(bytes: &[u8]) {
    if let Ok(sketch) = Sketch::from_bytes(bytes) {
        let cells = sketch.cells(0..CELLS_KEPT);
        assert_eq!(cells.map(<[Cell]>::len), Some(CELLS_KEPT));
        let again = Sketch::from_bytes(&sketch.to_bytes());
        assert_eq!(again, Ok(sketch), "it does not read back");
    }
}

fn sketch_key() -> SketchKey {
    SketchKey([1; 16])
}

/// Cells that are the peer's word alone, in batches of its choice.
fn made_up(mut draw: Draw<'_>) {
    let mut decoder = Decoder::new(sketch_key());
    let mut taken = 0;
    while !draw.is_over() && taken <= CELLS_MAX {
        let cell = |draw: &mut Draw<'_>| Cell {
            sum: draw.array(),
            check: draw.long(),
            count: draw.long().cast_signed(),
        };
        let count = draw.below(CELLS_BATCH_MAX);
        let mut cells: Vec<Cell> = Vec::new();
        while cells.len() < count && !draw.is_over() {
            cells.push(cell(&mut draw));
        }
        cells.resize(count, Cell::EMPTY);
        taken += count;
        match decoder.take(&cells) {
            Ok(Answer::Complete(found)) => {
                assert!(found.ours.len() + found.theirs.len() <= taken);
            }
            Ok(Answer::More) => assert!(taken < CELLS_MAX),
            Err(_) => break,
        }
    }
}

/// Two sets, and what the decoder finds between them; one byte in a cell may be damaged.
fn between_sets(mut draw: Draw<'_>) {
    let (common, ours, theirs) = (items(&mut draw), items(&mut draw), items(&mut draw));
    let all = |of: &BTreeSet<Item>| common.union(of).copied().collect::<BTreeSet<Item>>();
    let (mine, yours) = (all(&ours), all(&theirs));
    let damage = (draw.byte() > 0).then(|| (draw.below(CELLS_KEPT), draw.byte()));
    let mut decoder = Decoder::new(sketch_key());
    let mut from = 0;
    let mut next = cells_first(draw.byte().into());
    while next > 0 {
        let range = from..from + next;
        let of =
            |items: &BTreeSet<Item>| cells_of(&sketch_key(), items.iter().copied(), range.clone());
        let mut cells = of(&yours);
        if let Some((place, byte)) = damage
            && let Some(cell) = place
                .checked_sub(from)
                .and_then(|place| cells.get_mut(place))
        {
            cell.check ^= u64::from(byte);
            cell.count = cell.count.wrapping_add(i64::from(byte & 1));
        }
        let answer = decoder.take(&subtract(&of(&mine), &cells));
        from += next;
        next = match answer {
            Ok(Answer::More) => cells_next(from),
            Ok(Answer::Complete(found)) => {
                if damage.is_none_or(|(_, byte)| byte == 0) {
                    assert!(found.ours.iter().eq(mine.difference(&yours)), "not ours");
                    assert!(
                        found.theirs.iter().eq(yours.difference(&mine)),
                        "not theirs"
                    );
                }
                return;
            }
            Err(why) => {
                assert!(damage.is_some(), "honest cells: {why}");
                return;
            }
        };
    }
}

fn items(draw: &mut Draw<'_>) -> BTreeSet<Item> {
    let bytes = draw.piece();
    let chunks = bytes.chunks(2).take(ITEMS_MAX);
    let item = |bytes: &[u8]| {
        let mut item = [0; 32];
        for (slot, byte) in item.iter_mut().zip(bytes) {
            *slot = *byte;
        }
        Item(item)
    };
    chunks.map(item).collect()
}

/// A kept sketch, honest cells and sets that differ in little and in much.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let mut sketch = Sketch::new(sketch_key());
    (1..9).for_each(|number| sketch.add(&Item([number; 32])));
    let cells = cells_of(
        &sketch_key(),
        (1..4).map(|number| Item([number; 32])),
        0..16,
    );
    let cell = |cell: &Cell| {
        let count = cell.count.to_le_bytes();
        [&cell.sum[..], &cell.check.to_le_bytes(), &count].concat()
    };
    let cells: Vec<u8> = cells.iter().flat_map(cell).collect();
    let sets = |common: u8, ours: u8, theirs: u8| {
        let set = |from: u8, to: u8| piece(&(from..to).flat_map(|n| [n, 1]).collect::<Vec<_>>());
        let (a, b) = (common, common + ours);
        [vec![2], set(0, a), set(a, b), set(b, b + theirs)].concat()
    };
    vec![
        [vec![0], sketch.to_bytes()].concat(),
        [vec![0], codec::encode(&sketch)].concat(),
        [vec![1, 16, 0], cells].concat(),
        sets(100, 3, 2),
        sets(0, 90, 80),
    ]
}
