//! The made-up town of the demo: five sites, their workers, and the people who come.

use crate::{
    chance::Chance,
    service::town::{Site, Town},
};

/// The five sites, each with an edge of its name, and Swindon with a laptop; Kent's venues are in [`venues`].
pub const TOWN: Town = &[
    Site {
        id: "devizes",
        name: "Devizes",
        edges: &["devizes"],
        workers: &[
            ("asha", "Asha Okafor", "recovery-worker"),
            ("tom", "Tom Lacey", "senior"),
        ],
    },
    Site {
        id: "swindon",
        name: "Swindon",
        edges: &["swindon", "swindon-laptop"],
        workers: &[
            ("mei", "Mei Castellan", "recovery-worker"),
            ("rob", "Rob Ferreira", "senior"),
        ],
    },
    Site {
        id: "salisbury",
        name: "Salisbury",
        edges: &["salisbury"],
        workers: &[
            ("ines", "Ines Hathaway", "recovery-worker"),
            ("jon", "Jon Mbeki", "senior"),
        ],
    },
    Site {
        id: "bath",
        name: "Bath",
        edges: &["bath"],
        workers: &[
            ("lola", "Lola Brandt", "recovery-worker"),
            ("sam", "Sam Pereira", "senior"),
        ],
    },
    Site {
        id: "kent",
        name: "Kent",
        edges: &["kent"],
        workers: &[
            ("nia", "Nia Whitlock", "recovery-worker"),
            ("dev", "Dev Sandhu", "senior"),
            ("vera", "Vera Lindqvist", "coordinator"),
        ],
    },
];

/// Where a site holds its sessions.
pub fn venues(site: &str) -> &'static [&'static str] {
    match site {
        "devizes" => &["Corn Exchange"],
        "swindon" => &["Old Town Hall"],
        "salisbury" => &["Guildhall"],
        "bath" => &["Walcot House"],
        _ => &["Dartford", "Gravesham", "Swanley", "Medway"],
    }
}

/// The days of the demo's week.
pub const DAYS: [(&str, &str); 7] = [
    ("Mon", "2026-03-02"),
    ("Tue", "2026-03-03"),
    ("Wed", "2026-03-04"),
    ("Thu", "2026-03-05"),
    ("Fri", "2026-03-06"),
    ("Sat", "2026-03-07"),
    ("Sun", "2026-03-08"),
];

const FIRST: [&str; 24] = [
    "Aurelia", "Barnaby", "Cosima", "Dmitri", "Elowen", "Fergus", "Ginevra", "Hamish", "Isolde",
    "Jago", "Kerensa", "Lowell", "Morwenna", "Ninian", "Ottilie", "Piran", "Quentin", "Rosalba",
    "Sorcha", "Tamsin", "Ulric", "Verity", "Wystan", "Zennor",
];

const LAST: [&str; 24] = [
    "Applegarth",
    "Birtwhistle",
    "Carbonell",
    "Dunwoody",
    "Entwistle",
    "Fothergill",
    "Gathercole",
    "Hollingbery",
    "Inkpen",
    "Jellicoe",
    "Kettlewell",
    "Lillywhite",
    "Merriweather",
    "Nightingale",
    "Oglethorpe",
    "Pennyfeather",
    "Quarrington",
    "Rumbelow",
    "Sparshott",
    "Thistlewood",
    "Umfreville",
    "Vellacott",
    "Wainwright",
    "Yarborough",
];

/// Draws names, each of them once.
#[derive(Debug)]
pub struct Names {
    left: Vec<String>,
}

impl Names {
    /// All there are, in the order that chance wants.
    pub fn new(chance: &mut Chance) -> Names {
        let mut left: Vec<String> = FIRST
            .iter()
            .flat_map(|first| LAST.iter().map(move |last| format!("{first} {last}")))
            .collect();
        for place in (1..left.len()).rev() {
            left.swap(place, chance.index(place + 1));
        }
        Names { left }
    }

    /// The next `count`.
    pub fn draw(&mut self, count: usize) -> Vec<String> {
        let keep = self.left.len().saturating_sub(count);
        self.left.split_off(keep)
    }
}
