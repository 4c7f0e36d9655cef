//! Ids of what two sites may create independently: alike wherever they are derived.

use names::{DocumentId, Kind, SiteId, TenantId};

/// Sets these hashes apart from any other use of the tenant's key.
const DOMAIN: &[u8] = b"ridgeway derived document v1";

/// The id of a document that is about a venue at a time, such as a session's register.
///
/// A keyed hash: who does not hold the tenant's key can neither guess ids nor squat them, and
/// nothing of a person goes into it. `site` is the venue's owner in the directory, never the
/// writer's. Dates and times go in as they are written, so callers must write them one way.
pub fn document_id(
    key: &[u8; 32],
    tenant: TenantId,
    kind: Kind,
    site: &SiteId,
    venue: &str,
    date: &str,
    start: &str,
) -> DocumentId {
    let mut hasher = blake3::Hasher::new_keyed(key);
    let kind = kind.0.to_be_bytes();
    let parts: [&[u8]; 7] = [
        DOMAIN,
        tenant.as_ref(),
        &kind,
        site.as_str().as_bytes(),
        venue.as_bytes(),
        date.as_bytes(),
        start.as_bytes(),
    ];
    for part in parts {
        // With its length before it, no part can lend a byte to its neighbour.
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    DocumentId(id)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn id(venue: &str, date: &str) -> DocumentId {
        let site = "kent".parse().unwrap();
        document_id(
            &[7; 32],
            TenantId([1; 16]),
            Kind::SESSION,
            &site,
            venue,
            date,
            "10:00",
        )
    }

    #[test]
    fn the_same_inputs_give_the_same_id_and_others_another() {
        assert_eq!(
            id("dartford", "2026-11-22").to_string(),
            "01e3892b2a7582843b0f64890d7b773c"
        );
        assert_ne!(id("dartford", "2026-11-22"), id("dartford", "2026-11-23"));
        assert_ne!(id("dartford2", "026-11-22"), id("dartford", "2026-11-22"));
    }

    #[test]
    fn without_the_key_nobody_derives_it() {
        let site = "kent".parse().unwrap();
        let other = document_id(
            &[8; 32],
            TenantId([1; 16]),
            Kind::SESSION,
            &site,
            "dartford",
            "2026-11-22",
            "10:00",
        );
        assert_ne!(id("dartford", "2026-11-22"), other);
    }
}
