//! Who is sent with whom, and when.

use super::*;

/// One that wants the same as all the others, and came so long ago.
fn item(number: u64, ago: Duration) -> (Item, oneshot::Receiver<Result<Landed>>) {
    let (answer, landed) = oneshot::channel();
    let (write, keys) = (RawDocumentBuf::new(), vec![Key::Place("one".to_owned())]);
    let (fingerprints, came) = ([1_000].into(), Instant::now() - ago);
    (Item { number, kind: Kind::Booking, write, keys, fingerprints, came, answer }, landed)
}

#[test]
fn whoever_comes_from_a_long_look_waits_behind_nobody() {
    let mut state = State::default();
    let (first, _first) = item(1, Duration::ZERO);
    state.place(first, false);
    assert_eq!(state.take(Next::Bookings).map(|batch| batch.len()), Some(1));
    let ((late, _late), (later, _later)) = (item(2, BEHIND), item(3, Duration::ZERO));
    state.place(late, false);
    state.place(later, false);
    assert_eq!(state.take(Next::Alone).map(|batch| batch[0].number), Some(2));
    assert_eq!(state.behind[&1].len(), 1, "the later one still waits");
}

#[test]
fn who_shares_a_fingerprint_with_another_waits_looks_and_is_sent() {
    let mut state = State::default();
    let ((one, _one), (mut other, _other)) = (item(1, Duration::ZERO), item(2, Duration::ZERO));
    other.keys = vec![Key::Place("other".to_owned())];
    state.place(one, false);
    state.place(other, false);
    let first = state.take(Next::Bookings).expect("the first is sent");
    assert_eq!(first.len(), 1);
    state.settle(&first[0], &Found::Written(None));
    let looks = state.take(Next::Look).expect("the other looks");
    assert_eq!(state.looked_for(&looks), HashSet::from([Key::Place("other".to_owned())]), "for what it wants itself");
    looks.into_iter().for_each(|item| state.place(item, false));
    assert_eq!(state.take(Next::Bookings).map(|batch| batch[0].number), Some(2));
}

/// These come, one after the other.
fn come(state: &mut State, numbers: std::ops::Range<u64>, ago: Duration) {
    for number in numbers {
        let (mut item, _) = item(number, ago);
        (item.keys, item.fingerprints) = (vec![Key::Place(number.to_string())], [number].into());
        state.place(item, false);
    }
}

/// A command is sent.
fn sent(state: &mut State) -> Option<usize> {
    state.take(Next::Bookings).map(|batch| batch.len())
}

/// The one that begins with this item is decided.
fn decided(state: &mut State, first: u64) {
    state.queues[Next::Bookings as usize].ended(&[item(first, Duration::ZERO).0]);
}

#[test]
fn a_few_wait_for_more_beside_many() {
    let mut state = State::default();
    come(&mut state, 0..10, Duration::ZERO);
    assert_eq!(sent(&mut state), Some(10));
    come(&mut state, 10..17, Duration::ZERO);
    assert_eq!(sent(&mut state), None, "seven are too few beside ten");
    come(&mut state, 17..18, Duration::ZERO);
    assert_eq!(sent(&mut state), Some(8));
    come(&mut state, 18..38, Duration::ZERO);
    assert_eq!(sent(&mut state), None, "every place is taken");
    decided(&mut state, 0);
    assert_eq!(sent(&mut state), Some(20));
    come(&mut state, 38..39, Duration::ZERO);
    decided(&mut state, 10);
    assert_eq!(sent(&mut state), None, "one is too few beside twenty");
    decided(&mut state, 18);
    assert_eq!(sent(&mut state), Some(1), "nothing is under way");
}

#[test]
fn nobody_waits_for_more_beside_what_may_hang_nor_with_others_behind_them() {
    let mut state = State::default();
    let beside_ten = |state: &mut State| {
        *state = State::default();
        come(state, 0..10, Duration::ZERO);
        assert_eq!(sent(state), Some(10));
    };
    beside_ten(&mut state);
    come(&mut state, 10..11, Duration::ZERO);
    assert_eq!(sent(&mut state), None);
    state.queues[Next::Bookings as usize].under_way[0].since -= BEHIND;
    assert_eq!(sent(&mut state), Some(1), "the ten may hang");

    beside_ten(&mut state);
    come(&mut state, 10..11, Duration::ZERO);
    come(&mut state, 11..12, BEHIND);
    assert_eq!(sent(&mut state), Some(2), "the second has waited");

    beside_ten(&mut state);
    let ((first, _first), (second, _second)) = (item(10, Duration::ZERO), item(11, Duration::ZERO));
    state.place(first, false);
    assert_eq!(sent(&mut state), None);
    state.place(second, false);
    assert_eq!(sent(&mut state), Some(1), "the second waits behind the first");
}

#[test]
fn whoever_has_gone_is_not_sent() {
    let mut state = State::default();
    let ((gone, landed), (here, _here)) = (item(1, Duration::ZERO), item(2, Duration::ZERO));
    drop(landed);
    state.place_behind(vec![gone, here], false);
    assert_eq!(state.take(Next::Bookings).map(|batch| batch[0].number), Some(2));
}

#[test]
fn however_many_bookings_wait_a_change_is_let_in() {
    let mut state = State::default();
    assert!((0..MOST_WAITING).all(|_| state.let_in(Kind::Booking)));
    assert!(!state.let_in(Kind::Booking));
    assert!(state.let_in(Kind::Change));
    state.let_out(Kind::Booking);
    assert!(state.let_in(Kind::Booking));
}
