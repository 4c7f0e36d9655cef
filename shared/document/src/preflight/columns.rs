//! The columns in which a change's operations stand, cut out of its bytes.

use names::{Reason, limits};

use super::{column::Rle, input::Input, op::Action};

macro_rules! columns {
    ($($field:ident = $spec:literal,)*) => {
        /// The columns of a change, by the numbers the format gives them: an id, times 16, plus a
        /// type. The bit with the value 8 would say that a column is deflated.
        #[derive(Clone, Copy, Default)]
        pub(crate) struct Columns<'a> {
            $(pub(super) $field: &'a [u8],)*
        }

        impl<'a> Columns<'a> {
            fn slot(&mut self, spec: u64) -> Result<&mut &'a [u8], Reason> {
                match spec {
                    $($spec => Ok(&mut self.$field),)*
                    _ => Err(Reason::Malformed),
                }
            }
        }
    };
}

columns! {
    object_actor = 0x01,
    object_counter = 0x02,
    key_actor = 0x11,
    key_counter = 0x13,
    key_name = 0x15,
    insert = 0x34,
    action = 0x42,
    value_meta = 0x56,
    value = 0x57,
    replaces = 0x70,
    replaced_actor = 0x71,
    replaced_counter = 0x73,
    expand = 0x94,
    mark_name = 0xa5,
}

/// As many columns as the format has.
const COLUMNS_MAX: usize = 14;

impl<'a> Columns<'a> {
    /// Reads the list of columns and cuts their data out of what follows.
    pub(crate) fn read(input: &mut Input<'a>) -> Result<Columns<'a>, Reason> {
        let count = input.length(COLUMNS_MAX)?;
        let mut listed = [(0, 0); COLUMNS_MAX];
        let mut last = None;
        for place in listed.iter_mut().take(count) {
            let spec = input.uleb()?;
            let length = usize::try_from(input.uleb()?).map_err(|_| Reason::Malformed)?;
            if length == 0 || last.is_some_and(|last| last >= spec) {
                return Err(Reason::Malformed);
            }
            last = Some(spec);
            *place = (spec, length);
        }
        let mut columns = Columns::default();
        for (spec, length) in listed.into_iter().take(count) {
            *columns.slot(spec)? = input.take(length)?;
        }
        Ok(columns)
    }

    /// How many operations there are, and how many of them do not delete, added up from the runs
    /// without expanding any.
    pub(crate) fn count(&self) -> Result<(u64, u64), Reason> {
        let mut actions = Rle::<u64>::new(self.action);
        let (mut total, mut holding) = (0u64, 0u64);
        while let Some((action, count)) = actions.next_run()? {
            if action.ok_or(Reason::Malformed)? != Action::DELETE {
                holding = holding.saturating_add(count);
            }
            total = total.saturating_add(count);
            if total > limits::CHANGE_OPS_MAX {
                return Err(Reason::TooLarge);
            }
        }
        Ok((total, holding))
    }

    /// How many operations are replaced in all; as bounded as the operations themselves, because
    /// one operation that claims to replace ten million costs as much as ten million.
    pub(super) fn count_replaced(&self) -> Result<u64, Reason> {
        let mut replaces = Rle::<u64>::new(self.replaces);
        let mut total = 0u64;
        while let Some((each, count)) = replaces.next_run()? {
            let each = each.ok_or(Reason::Malformed)?;
            total = total.saturating_add(each.saturating_mul(count));
            if total > limits::CHANGE_OPS_MAX {
                return Err(Reason::TooLarge);
            }
        }
        Ok(total)
    }
}
