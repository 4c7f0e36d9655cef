//! Cells as nobody honest would send them: every one of them gets an answer, within bounds.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::sketch::decode::STEPS_PER_CELL_MAX;

pub(super) fn cells() -> impl Strategy<Value = Cell> {
    let count = prop_oneof![
        -2i64..=2,
        any::<i64>(),
        Just(i64::MIN),
        Just(i64::MAX),
        Just(i64::MIN + 1),
    ];
    (any::<[u8; 32]>(), any::<u64>(), count).prop_map(|(sum, check, count)| Cell {
        sum,
        check,
        count,
    })
}

/// A cell with one item in it, as a peer may send it at any place.
pub(super) fn alone(item: &Item, count: i64) -> Cell {
    let mut cell = Cell::EMPTY;
    cell.put(&KEY.mark(item), count);
    cell
}

pub(super) fn assert_bounded(decoder: &Decoder) {
    assert!(decoder.steps <= decoder.position() * STEPS_PER_CELL_MAX);
}

#[test]
fn more_cells_than_there_are_is_refused_before_they_are_taken() {
    let mut decoder = Decoder::new(KEY);
    let cells = vec![Cell::EMPTY; CELLS_MAX + 1];
    assert_eq!(decoder.take(&cells), Err(Unsolvable::TooManyCells));
    assert_eq!(decoder.position(), 0);
}

#[test]
fn a_peer_with_another_key_is_never_understood() {
    let set = items(1, 0..40);
    let mut decoder = Decoder::new(KEY);
    let ours = cells_of(&KEY, set.iter().copied(), 0..CELLS_MAX);
    let theirs = cells_of(&SketchKey([9; 16]), set, 0..CELLS_MAX);
    let answer = decoder.take(&subtract(&ours, &theirs));
    assert!(answer.is_err(), "{answer:?}");
    assert_bounded(&decoder);
}

#[test]
fn an_item_outside_its_cells_is_a_contradiction() {
    // Two items stay together everywhere and give nothing away. A third is with them where it
    // belongs, and alone where it does not.
    let [lone, one, two] = [1, 2, 3].map(|number| item(1, number));
    let own: BTreeSet<usize> = KEY.mark(&lone).indices().collect();
    let place = (1..).find(|index| !own.contains(index)).unwrap();
    let mut cells: Vec<Cell> = (0..=place)
        .map(|index| {
            let mut cell = alone(&one, 1);
            cell.put(&KEY.mark(&two), 1);
            if own.contains(&index) {
                cell.put(&KEY.mark(&lone), 1);
            }
            cell
        })
        .collect();
    cells[place] = alone(&lone, 1);
    let mut decoder = Decoder::new(KEY);
    assert_eq!(decoder.take(&cells), Err(Unsolvable::Contradiction));
}

#[test]
fn an_item_that_comes_back_is_a_contradiction() {
    // In one of its cells only: taken out of all of them it appears in the others, the other way
    // round, and so for ever, if each were believed.
    let lone = item(1, 1);
    let own: Vec<usize> = KEY.mark(&lone).indices().collect();
    let mut cells = vec![Cell::EMPTY; 500];
    cells[own[1]] = alone(&lone, 1);
    let mut decoder = Decoder::new(KEY);
    assert_eq!(decoder.take(&cells), Err(Unsolvable::Contradiction));
    assert!(decoder.steps <= own.len(), "taken out once");
    // The same item in every cell, on either side.
    for count in [1, -1] {
        let mut decoder = Decoder::new(KEY);
        let cells = vec![alone(&lone, count); 200];
        assert_eq!(decoder.take(&cells), Err(Unsolvable::Contradiction));
    }
}

#[test]
fn counts_that_belong_to_nothing_are_a_contradiction() {
    for count in [1, -1, 2, i64::MAX, i64::MIN] {
        let wrong = Cell {
            count,
            ..Cell::EMPTY
        };
        let mut decoder = Decoder::new(KEY);
        let later = [Cell::EMPTY, Cell::EMPTY, wrong];
        assert_eq!(decoder.take(&later), Err(Unsolvable::Contradiction));
        let mut decoder = Decoder::new(KEY);
        assert_eq!(decoder.take(&[wrong]), Ok(Answer::More), "in cell 0");
        let rest = vec![Cell::EMPTY; CELLS_MAX - 1];
        assert_eq!(decoder.take(&rest), Err(Unsolvable::TooManyCells));
    }
}

#[test]
fn work_is_bounded_however_items_are_chosen() {
    // Each cell has one item that really belongs to it, found by trying: each that is taken out
    // spoils others, and each look at one costs a hash.
    let mut number = 0;
    let mut cells = Vec::new();
    for index in 0..300 {
        let chosen = loop {
            number += 1;
            let chosen = item(2, number);
            if KEY.mark(&chosen).indices().any(|at| at == index) {
                break chosen;
            }
        };
        cells.push(alone(&chosen, if index % 2 == 0 { 1 } else { -1 }));
    }
    let mut decoder = Decoder::new(KEY);
    for cell in &cells {
        let _ = decoder.take(&[*cell]);
        assert_bounded(&decoder);
    }
}

#[test]
fn items_that_are_in_too_many_cells_are_too_much_work() {
    // The budget is for all cells that have come: with it spent, one more step is refused.
    let cells = difference(&items(1, 0..20), &BTreeSet::new(), 64);
    let mut decoder = Decoder::new(KEY);
    decoder.steps = 64 * STEPS_PER_CELL_MAX - 5;
    assert_eq!(decoder.take(&cells), Err(Unsolvable::TooMuchWork));
    assert_eq!(decoder.take(&cells), Err(Unsolvable::TooMuchWork));
}

#[test]
fn failures_have_reasons() {
    let all = [
        Unsolvable::TooManyCells,
        Unsolvable::Contradiction,
        Unsolvable::TooMuchWork,
    ];
    let reasons = all.map(Unsolvable::reason);
    assert_eq!(
        reasons,
        [Reason::TooLarge, Reason::Malformed, Reason::TooLarge]
    );
}

proptest! {
    #[test]
    fn any_bytes_give_an_answer(
        cells in vec(cells(), 0..4),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        random in vec(any::<u8>(), 0..200),
    ) {
        let mut bytes = codec::encode(&Body { cells });
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = codec::decode::<Body>(&bytes);
        let _ = codec::decode::<Body>(&random);
        let _ = Sketch::from_bytes(&random);
    }

    #[test]
    fn any_cells_give_an_answer(cells in vec(cells(), 1..200), cut in 1usize..50) {
        let mut decoder = Decoder::new(KEY);
        for batch in cells.chunks(cut) {
            let answer = decoder.take(batch);
            prop_assert!(!matches!(answer, Ok(Answer::Complete(_))), "{:?}", answer);
            assert_bounded(&decoder);
        }
    }

    #[test]
    fn true_cells_with_false_among_them_give_an_answer(
        (ours, theirs) in two_sets(),
        lies in vec((0usize..400, cells()), 0..4),
        moved in vec((0usize..400, 0usize..400), 0..4),
        cut in 1usize..100,
    ) {
        let mut cells = difference(&ours, &theirs, 400);
        for (place, lie) in lies {
            cells[place] = lie;
        }
        for (from, to) in moved {
            cells[to] = cells[from];
        }
        let mut decoder = Decoder::new(KEY);
        for batch in cells.chunks(cut) {
            let _ = decoder.take(batch);
            assert_bounded(&decoder);
        }
    }
}
