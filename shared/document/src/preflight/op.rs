//! The operations of a change, read one after another from their columns; characters that were
//! typed one behind the other come together, and so do those that are deleted ([`super::stretch`]).
//!
//! What is refused here is what Automerge takes and later cannot save, load or apply: a deletion
//! that deletes nothing, a reference to something later, a value whose length does not fit, an
//! actor that is named and not used.

use names::{ActorId, Reason, limits};

use super::{
    column::{Delta, Flags, Rle},
    columns::Columns,
    input::Input,
};

/// The id of an operation: its counter, and its actor's place in the change's own list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpId {
    pub(crate) counter: u64,
    pub(crate) actor: usize,
}

/// The ids of operations of one actor, each as far from the one before it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) first: OpId,
    /// At least one.
    pub(crate) count: u64,
    /// Nought where there is one.
    pub(crate) step: i64,
}

impl Ids {
    pub(super) fn one(id: OpId) -> Ids {
        Ids {
            first: id,
            count: 1,
            step: 0,
        }
    }

    pub(super) fn last(self) -> OpId {
        let steps = i64::try_from(self.count.saturating_sub(1)).unwrap_or(i64::MAX);
        let length = self.step.saturating_mul(steps);
        OpId {
            counter: self.first.counter.saturating_add_signed(length),
            ..self.first
        }
    }

    /// The counters in ascending order.
    pub(super) fn counters(self) -> impl Iterator<Item = u64> {
        let (least, step) = (self.bounds().0, self.step.unsigned_abs());
        (0..self.count).map(move |place| least + place * step)
    }

    /// The least and the greatest counter.
    pub(super) fn bounds(self) -> (u64, u64) {
        let (first, last) = (self.first.counter, self.last().counter);
        (first.min(last), first.max(last))
    }
}

/// The object an operation is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    Root,
    Made(OpId),
}

/// Where in its object an operation is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    Name(&'a str),
    /// The beginning of a list or text; only insertions refer to it.
    Head,
    Element(OpId),
}

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    MakeMap,
    Put,
    MakeList,
    Delete,
    MakeText,
    Increment,
    MakeTable,
    Mark,
}

impl Action {
    pub(super) const PUT: u64 = 1;
    pub(super) const DELETE: u64 = 3;

    fn from_code(code: u64) -> Result<Action, Reason> {
        Ok(match code {
            0 => Action::MakeMap,
            Action::PUT => Action::Put,
            2 => Action::MakeList,
            Action::DELETE => Action::Delete,
            4 => Action::MakeText,
            5 => Action::Increment,
            6 => Action::MakeTable,
            7 => Action::Mark,
            _ => return Err(Reason::Malformed),
        })
    }

    fn makes(self) -> bool {
        match self {
            Action::MakeMap | Action::MakeList | Action::MakeText | Action::MakeTable => true,
            Action::Put | Action::Delete | Action::Increment | Action::Mark => false,
        }
    }
}

/// The type of an operation's value; a text is there itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Null,
    Text(&'a str),
    Number,
    Other,
}

/// One operation, or several of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Op<'a> {
    /// The counter of the first.
    pub(crate) counter: u64,
    /// More than one: characters, each typed behind the one before it, of which key and value are
    /// those of the first; or deletions of elements at equal steps, of which the first is the key.
    pub(crate) count: u64,
    /// Of several deletions, how far the next one's element is from each one's; else nought.
    pub(crate) step: i64,
    pub(crate) object: Object,
    pub(crate) key: Key<'a>,
    pub(crate) insert: bool,
    pub(crate) action: Action,
    pub(crate) value: Value<'a>,
    /// How many earlier operations each of them replaces.
    pub(crate) replaces: u64,
}

/// What a later operation of the same change may need to know of earlier ones that are alike.
struct Earlier {
    first: u64,
    /// The counter after the last one's.
    end: u64,
    object: Object,
    insert: bool,
    action: Action,
}

/// Judges an operation, or several of one kind, told what it, or the first of them, replaces.
pub(crate) type Visit<'a, 'v> = dyn FnMut(&Op<'a>, &[Ids]) -> Result<(), Reason> + 'v;

/// Reads every operation of a change and hands it to a [`Visit`].
pub(crate) struct Reader<'a, 'b> {
    /// The change's own actor, then the others it names.
    actors: &'b [ActorId],
    used: Vec<bool>,
    start: u64,
    earlier: Vec<Earlier>,
    /// What the operation read last replaces.
    pub(super) replacing: Vec<Ids>,
    pub(super) object: (Rle<'a, u64>, Rle<'a, u64>),
    pub(super) key: (Rle<'a, u64>, Delta<'a>, Rle<'a, &'a str>),
    pub(super) insert: Flags<'a>,
    pub(super) action: Rle<'a, u64>,
    pub(super) value_meta: Rle<'a, u64>,
    pub(super) value: Input<'a>,
    pub(super) replaces: Rle<'a, u64>,
    pub(super) replaced: (Rle<'a, u64>, Delta<'a>),
    pub(super) expand: Flags<'a>,
    pub(super) mark_name: Rle<'a, &'a str>,
}

impl<'a, 'b> Reader<'a, 'b> {
    /// Reads `count` operations, as [`Columns::count`] found them, the first of which has the
    /// counter `start`.
    pub(crate) fn read(
        columns: &Columns<'a>,
        actors: &'b [ActorId],
        start: u64,
        count: u64,
        visit: &mut Visit<'a, '_>,
    ) -> Result<(), Reason> {
        let mut reader = Reader::new(columns, actors, start)?;
        let end = start.saturating_add(count);
        let mut counter = start;
        while counter < end {
            let mut op = reader.next(counter)?;
            reader.read_on(&mut op, end - counter - 1);
            visit(&op, &reader.replacing)?;
            reader.note(&op);
            counter += op.count;
        }
        reader.finish()
    }

    /// Nothing is read yet.
    pub(super) fn new(
        columns: &Columns<'a>,
        actors: &'b [ActorId],
        start: u64,
    ) -> Result<Self, Reason> {
        columns.count_replaced()?;
        let mut used = vec![false; actors.len()];
        if let Some(own) = used.first_mut() {
            *own = true;
        }
        Ok(Reader {
            actors,
            used,
            start,
            earlier: Vec::new(),
            replacing: Vec::new(),
            object: (
                Rle::new(columns.object_actor),
                Rle::new(columns.object_counter),
            ),
            key: (
                Rle::new(columns.key_actor),
                Delta::new(columns.key_counter),
                Rle::new(columns.key_name),
            ),
            insert: Flags::new(columns.insert),
            action: Rle::new(columns.action),
            value_meta: Rle::new(columns.value_meta),
            value: Input::new(columns.value),
            replaces: Rle::new(columns.replaces),
            replaced: (
                Rle::new(columns.replaced_actor),
                Delta::new(columns.replaced_counter),
            ),
            expand: Flags::new(columns.expand),
            mark_name: Rle::new(columns.mark_name),
        })
    }

    /// The next operation alone.
    pub(super) fn next(&mut self, counter: u64) -> Result<Op<'a>, Reason> {
        let action = Action::from_code(self.action.next()?.ok_or(Reason::Malformed)?)?;
        let insert = self.insert.next()?;
        let object = self.next_object(counter)?;
        let key = self.next_key(counter, object)?;
        let value = self.next_value()?;
        let replaces = self.next_replaced(counter, object)?;
        let expand = self.expand.next()?;
        let mark = self.mark_name.next()?;
        let op = Op {
            counter,
            count: 1,
            step: 0,
            object,
            key,
            insert,
            action,
            value,
            replaces,
        };
        // A mark without a name is the end of one, and an end has no value.
        let marked = match action == Action::Mark {
            true if mark.is_none() => value == Value::Null,
            true => true,
            false => !expand && mark.is_none(),
        };
        if !marked {
            return Err(Reason::Malformed);
        }
        if is_sound(&op) {
            Ok(op)
        } else {
            Err(Reason::Malformed)
        }
    }

    fn next_object(&mut self, counter: u64) -> Result<Object, Reason> {
        let object = match (self.object.0.next()?, self.object.1.next()?) {
            (None, None) => return Ok(Object::Root),
            (Some(actor), Some(made)) => self.reference(actor, made, counter)?,
            (Some(_), None) | (None, Some(_)) => return Err(Reason::Malformed),
        };
        match self.earlier(object) {
            Some(earlier) if !earlier.action.makes() => Err(Reason::Malformed),
            Some(_) | None => Ok(Object::Made(object)),
        }
    }

    fn next_key(&mut self, counter: u64, object: Object) -> Result<Key<'a>, Reason> {
        let key = match (self.key.0.next()?, self.key.1.next()?, self.key.2.next()?) {
            (None, None, Some(name)) => return self.named(name, object),
            (None, Some(0), None) => Key::Head,
            (Some(actor), Some(element), None) => {
                let element = self.reference(actor, element, counter)?;
                let foreign = |earlier: &Earlier| !earlier.insert || earlier.object != object;
                if self.earlier(element).is_some_and(foreign) {
                    return Err(Reason::Malformed);
                }
                Key::Element(element)
            }
            (_, _, _) => return Err(Reason::Malformed),
        };
        let Object::Made(id) = object else {
            return Err(Reason::Malformed);
        };
        match self.earlier(id).map(|earlier| earlier.action) {
            None | Some(Action::MakeList | Action::MakeText) => Ok(key),
            Some(_) => Err(Reason::Malformed),
        }
    }

    fn named(&self, name: &'a str, object: Object) -> Result<Key<'a>, Reason> {
        if name.len() > limits::KEY_NAME_BYTES_MAX {
            return Err(Reason::TooLarge);
        }
        let Object::Made(id) = object else {
            return Ok(Key::Name(name));
        };
        match self.earlier(id).map(|earlier| earlier.action) {
            None | Some(Action::MakeMap | Action::MakeTable) => Ok(Key::Name(name)),
            Some(_) => Err(Reason::Malformed),
        }
    }

    fn next_value(&mut self) -> Result<Value<'a>, Reason> {
        let meta = self.value_meta.next()?.ok_or(Reason::Malformed)?;
        let length = usize::try_from(meta >> 4).map_err(|_| Reason::Malformed)?;
        let bytes = self.value.take(length)?;
        let mut inner = Input::new(bytes);
        let value = match meta & 0xf {
            0 if length == 0 => Value::Null,
            1 | 2 if length == 0 => Value::Other,
            3 => inner.uleb().map(|_| Value::Number)?,
            4 => inner.sleb().map(|_| Value::Number)?,
            8 | 9 => inner.sleb().map(|_| Value::Other)?,
            5 if length == 8 => return Ok(Value::Other),
            6 => {
                return std::str::from_utf8(bytes)
                    .map(Value::Text)
                    .map_err(|_| Reason::Malformed);
            }
            7 => return Ok(Value::Other),
            _ => return Err(Reason::Malformed),
        };
        if inner.is_empty() {
            Ok(value)
        } else {
            Err(Reason::Malformed)
        }
    }

    fn next_replaced(&mut self, counter: u64, object: Object) -> Result<u64, Reason> {
        let count = self.replaces.next()?.ok_or(Reason::Malformed)?;
        self.replacing.clear();
        let mut left = count;
        while left > 0 {
            let (Some(actor), Some(replaced)) = (self.replaced.0.next()?, self.replaced.1.next()?)
            else {
                return Err(Reason::Malformed);
            };
            let id = self.reference(actor, replaced, counter)?;
            if self
                .earlier(id)
                .is_some_and(|earlier| earlier.object != object)
            {
                return Err(Reason::Malformed);
            }
            let last = self.replacing.last().map(|ids| ids.last());
            if last.is_some_and(|last| self.order(last) >= self.order(id)) {
                return Err(Reason::Malformed);
            }
            let ids = self.replaced_on(counter, id, left - 1);
            left -= ids.count;
            self.replacing.push(ids);
        }
        Ok(count)
    }

    /// An id that some operation before `counter` may have.
    fn reference(&mut self, actor: u64, counter: u64, before: u64) -> Result<OpId, Reason> {
        let actor = usize::try_from(actor).map_err(|_| Reason::Malformed)?;
        let used = self.used.get_mut(actor).ok_or(Reason::Malformed)?;
        *used = true;
        if counter == 0 || counter >= before {
            return Err(Reason::Malformed);
        }
        Ok(OpId { counter, actor })
    }

    /// Notes what later operations may need to know of one.
    pub(super) fn note(&mut self, op: &Op<'a>) {
        let end = op.counter.saturating_add(op.count);
        if let Some(last) = self.earlier.last_mut()
            && (last.object, last.insert, last.action) == (op.object, op.insert, op.action)
        {
            last.end = end;
            return;
        }
        self.earlier.push(Earlier {
            first: op.counter,
            end,
            object: op.object,
            insert: op.insert,
            action: op.action,
        });
    }

    /// What is to be known of the operation of this same change that has this id, if it is one.
    fn earlier(&self, id: OpId) -> Option<&Earlier> {
        if id.actor != 0 || id.counter < self.start {
            return None;
        }
        let place = self.earlier.partition_point(|of| of.end <= id.counter);
        self.earlier.get(place)
    }

    /// The counters around this one, the first and the one after the last, of which the same is known:
    /// of this change's operations those that are alike, of its actor's others those before it, of
    /// other actors' all.
    pub(super) fn around(&self, id: OpId) -> (u64, u64) {
        match self.earlier(id) {
            Some(earlier) => (earlier.first, earlier.end),
            None if id.actor == 0 => (1, self.start),
            None => (1, u64::MAX),
        }
    }

    fn order(&self, id: OpId) -> (u64, Option<&ActorId>) {
        (id.counter, self.actors.get(id.actor))
    }

    pub(super) fn finish(self) -> Result<(), Reason> {
        self.object.0.finish()?;
        self.object.1.finish()?;
        self.key.0.finish()?;
        self.key.1.finish()?;
        self.key.2.finish()?;
        self.insert.finish()?;
        self.action.finish()?;
        self.value_meta.finish()?;
        self.replaces.finish()?;
        self.replaced.0.finish()?;
        self.replaced.1.finish()?;
        self.expand.finish()?;
        self.mark_name.finish()?;
        if self.value.is_empty() && self.used.iter().all(|used| *used) {
            Ok(())
        } else {
            Err(Reason::Malformed)
        }
    }
}

/// Whether action, key and value go together.
fn is_sound(op: &Op<'_>) -> bool {
    let in_place = match op.key {
        Key::Name(_) => !op.insert,
        Key::Head => op.insert,
        Key::Element(_) => true,
    };
    let action = match op.action {
        Action::Put | Action::Mark => true,
        Action::Delete => !op.insert && op.replaces > 0 && op.value == Value::Null,
        Action::Increment => !op.insert && op.replaces > 0 && op.value == Value::Number,
        Action::MakeMap | Action::MakeList | Action::MakeText | Action::MakeTable => {
            op.value == Value::Null
        }
    };
    in_place && action && !(op.insert && op.replaces > 0)
}
