//! Outcome measures: which totals exist, and what is computed from them on reading.
//!
//! No band, case or grade is derived here: a score says nothing about a person's danger and
//! must not seem to.

use crate::code::Instrument;

impl Instrument {
    /// The least and the greatest total in points.
    pub fn range(self) -> (u32, u32) {
        match self {
            Instrument::Swemwbs => (7, 35),
            Instrument::Wemwbs => (14, 70),
            Instrument::Phq9 => (0, 27),
            Instrument::Gad7 => (0, 21),
            Instrument::Ons4Satisfaction
            | Instrument::Ons4Worthwhile
            | Instrument::Ons4Happiness
            | Instrument::Ons4Anxiety => (0, 10),
        }
    }

    /// Whether the instrument has such a total.
    pub fn admits(self, total: u32) -> bool {
        let (least, greatest) = self.range();
        (least..=greatest).contains(&total)
    }
}

/// Metric scores of SWEMWBS in hundredths, for raw totals 7 to 35 (Stewart-Brown and others
/// 2009, Health and Quality of Life Outcomes 7:15).
const SWEMWBS_METRIC: [u32; 29] = [
    700, 951, 1125, 1240, 1333, 1408, 1475, 1532, 1584, 1636, 1688, 1743, 1798, 1859, 1925, 1998,
    2073, 2154, 2235, 2321, 2411, 2503, 2602, 2703, 2813, 2931, 3070, 3255, 3500,
];

/// The metric score of a raw SWEMWBS total, in hundredths of a point; none outside 7 to 35.
pub fn swemwbs_metric(raw: u32) -> Option<u32> {
    let place = raw.checked_sub(7)?;
    SWEMWBS_METRIC.get(usize::try_from(place).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_scores_rise_and_hit_the_table() {
        let metric: Vec<u32> = (7..=35).filter_map(swemwbs_metric).collect();
        assert_eq!(metric.len(), 29);
        assert!(metric.is_sorted_by(|low, high| low < high));
        for (raw, hundredths) in [
            (7, 700),
            (13, 1475),
            (14, 1532),
            (21, 1925),
            (22, 1998),
            (28, 2503),
            (34, 3255),
            (35, 3500),
        ] {
            assert_eq!(swemwbs_metric(raw), Some(hundredths), "{raw}");
        }
        assert_eq!((swemwbs_metric(6), swemwbs_metric(36)), (None, None));
    }

    #[test]
    fn totals_outside_the_range_do_not_exist() {
        for (instrument, inside, outside) in [
            (Instrument::Swemwbs, [7, 35], [6, 36]),
            (Instrument::Wemwbs, [14, 70], [13, 71]),
            (Instrument::Phq9, [0, 27], [28, u32::MAX]),
            (Instrument::Gad7, [0, 21], [22, u32::MAX]),
            (Instrument::Ons4Anxiety, [0, 10], [11, u32::MAX]),
        ] {
            assert!(
                inside.iter().all(|total| instrument.admits(*total)),
                "{instrument}"
            );
            assert!(
                !outside.iter().any(|total| instrument.admits(*total)),
                "{instrument}"
            );
        }
    }
}
