//! What a device is made of: its keys and certificates, whom it trusts and where the centre is.
//!
//! All of it is kept as rows of the sealed store, beside the node's own, and read before the node
//! is opened: a copy of the folder gives away no key. Each thing is a row of its own under a name
//! that no row of the node's has; a list takes one row per element.

use std::fmt;

use node::{
    Identity,
    names::{Moment, Reason, SiteId, TenantId},
    protocol::{
        DeviceKey, PublicKey, SignedStatement, codec,
        enrol::{EnrolAnswer, TenantKey},
    },
    store::{Batch, MemoryStore, Snapshot, Store, StoreError, Table},
};
use zeroize::{Zeroize as _, Zeroizing};

use crate::tls;

const TENANT: &[u8] = b"shell tenant";
const TENANT_KEY: &[u8] = b"shell tenant key";
const AUTHORITY: &[u8] = b"shell authority";
const DEVICE: &[u8] = b"shell device key";
pub(crate) const CHAIN: &[u8] = b"shell certificate chain";
const CA: &[u8] = b"shell ca certificate";
const SITE: &[u8] = b"shell site";
const CENTRE: &[u8] = b"shell centre address";
const STATEMENT: &[u8] = b"shell first statement";
const CA_KEY: &[u8] = b"shell ca key";
const AUTHORITY_KEY: &[u8] = b"shell authority key";
const ALL: [&[u8]; 11] = [
    TENANT,
    TENANT_KEY,
    AUTHORITY,
    DEVICE,
    CHAIN,
    CA,
    SITE,
    CENTRE,
    STATEMENT,
    CA_KEY,
    AUTHORITY_KEY,
];

/// Elements of one list that are read: far above the statements of an answer to an enrolment.
const LIST_MAX: usize = 1 << 16;

/// The keys that only the centre has.
#[derive(Debug)]
pub struct CentreKeys {
    /// The key of the certificate authority.
    pub ca: DeviceKey,
    /// The key that signs the directory.
    pub authority: DeviceKey,
}

/// What a device is made of. Its `Debug` shows ids and sizes alone.
pub struct Material {
    /// The organisation.
    pub tenant: TenantId,
    /// The key of its derived ids.
    pub tenant_key: TenantKey,
    /// The key whose statements count.
    pub authority: PublicKey,
    /// The device's own key, for TLS and for signing.
    pub device: DeviceKey,
    /// The device's certificate, and those between it and the authority's: DER, its own first.
    pub chain: Vec<Vec<u8>>,
    /// The certificate authority's certificate: DER.
    pub ca: Vec<u8>,
    /// Where the device stands; the centre stands nowhere.
    pub site: Option<SiteId>,
    /// Where the centre can be reached, as `host:port`, best first; empty at the centre.
    pub centre: Vec<String>,
    /// The directory as it stood when the device was enrolled: what its node begins with.
    pub statements: Vec<SignedStatement>,
    /// The centre's own keys.
    pub keys: Option<CentreKeys>,
}

/// Why no material could be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum MaterialError {
    /// The store holds none: nothing was ever enrolled or initialised here.
    Missing,
    /// The store holds the key of a device that no centre has answered yet.
    Unfinished,
    /// Something that belongs to it is missing or cannot be read.
    Damaged(&'static str),
    /// The store could not be read.
    Store(StoreError),
}

impl fmt::Display for MaterialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MaterialError::Missing => {
                f.write_str("this store belongs to no device yet: run `enrol` or `init`")
            }
            MaterialError::Unfinished => f.write_str(
                "the enrolment of this device is not finished: run `enrol` again in this folder, \
                 with the same code or a new one",
            ),
            MaterialError::Damaged(what) => write!(
                f,
                "the store lacks {what} or it is damaged: restore a backup, or enrol again"
            ),
            MaterialError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for MaterialError {}

impl From<StoreError> for MaterialError {
    fn from(error: StoreError) -> MaterialError {
        MaterialError::Store(error)
    }
}

impl Material {
    /// What an enrolled device is made of.
    pub fn enrolled(device: DeviceKey, answer: EnrolAnswer, centre: Vec<String>) -> Material {
        Material {
            tenant: answer.tenant,
            tenant_key: answer.tenant_key,
            authority: answer.authority,
            device,
            chain: answer.chain,
            ca: answer.ca,
            site: answer.site,
            centre,
            statements: answer.statements,
            keys: None,
        }
    }

    /// Puts the key of a device into a new store, before anybody is asked to make it known: a code
    /// is good for the device that used it, so the device must outlive the attempt.
    ///
    /// # Errors
    /// Failures of the store.
    pub fn begin<S: Store>(store: &mut S, device: &DeviceKey) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put(Table::Meta, DEVICE, 0, device.seed().as_slice());
        batch.require_two_phase();
        store.commit(batch)
    }

    /// The key of a device whose enrolment was begun and not finished, if that is what the store
    /// holds.
    ///
    /// # Errors
    /// Failures of the store.
    pub fn begun<S: Store>(store: &S) -> Result<Option<DeviceKey>, MaterialError> {
        let rows = Rows(store.snapshot()?);
        if rows.one(TENANT)?.is_some() {
            return Ok(None);
        }
        rows.key(DEVICE)
    }

    /// Until when the device's certificate lets it in; none when it does not do so at `now`. It is
    /// found by asking what a peer would ask, so nothing here reads certificates.
    pub fn certificate_ends(&self, now: Moment) -> Option<Moment> {
        tls::valid_until(&self.device.public(), &self.chain, &self.ca, now)
    }

    /// Who the node on this store is.
    pub fn identity(&self) -> Identity {
        Identity {
            tenant: self.tenant,
            tenant_key: self.tenant_key.0,
            authority: self.authority,
            device: DeviceKey::from_seed(&self.device.seed()),
        }
    }

    /// Puts everything into a store, in place of what was there.
    ///
    /// # Errors
    /// Failures of the store.
    pub fn save<S: Store>(&self, store: &mut S) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        let snapshot = store.snapshot()?;
        for name in ALL {
            for (position, _) in snapshot.range(Table::Meta, name, 0, LIST_MAX)? {
                batch.delete(Table::Meta, name, position);
            }
        }
        drop(snapshot);
        self.write(&mut batch);
        batch.require_two_phase();
        store.commit(batch)
    }

    fn write(&self, batch: &mut Batch) {
        let mut put = |name: &[u8], position: u64, value: &[u8]| {
            batch.put(Table::Meta, name, position, value);
        };
        put(TENANT, 0, self.tenant.as_ref());
        put(TENANT_KEY, 0, &self.tenant_key.0);
        put(AUTHORITY, 0, self.authority.as_ref());
        put(DEVICE, 0, self.device.seed().as_slice());
        put(CA, 0, &self.ca);
        for (position, certificate) in (0..).zip(&self.chain) {
            put(CHAIN, position, certificate);
        }
        if let Some(site) = &self.site {
            put(SITE, 0, site.as_str().as_bytes());
        }
        for (position, address) in (0..).zip(&self.centre) {
            put(CENTRE, position, address.as_bytes());
        }
        for (position, statement) in (0..).zip(&self.statements) {
            put(STATEMENT, position, &codec::encode(statement));
        }
        if let Some(keys) = &self.keys {
            put(CA_KEY, 0, keys.ca.seed().as_slice());
            put(AUTHORITY_KEY, 0, keys.authority.seed().as_slice());
        }
    }

    /// Reads what [`Material::save`] has put there.
    ///
    /// # Errors
    /// [`MaterialError`] says what is missing.
    pub fn load<S: Store>(store: &S) -> Result<Material, MaterialError> {
        let rows = Rows(store.snapshot()?);
        let tenant = match rows.one(TENANT)? {
            Some(tenant) => tenant,
            None if rows.one(DEVICE)?.is_some() => return Err(MaterialError::Unfinished),
            None => return Err(MaterialError::Missing),
        };
        let keys = match (rows.key(CA_KEY)?, rows.key(AUTHORITY_KEY)?) {
            (Some(ca), Some(authority)) => Some(CentreKeys { ca, authority }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                return Err(MaterialError::Damaged("one of the centre's keys"));
            }
        };
        let statements = rows.list(STATEMENT)?;
        Ok(Material {
            tenant: TenantId(fixed(&tenant, "the organisation's id")?),
            tenant_key: TenantKey(fixed(&rows.must(TENANT_KEY)?, "the organisation's key")?),
            authority: PublicKey(fixed(&rows.must(AUTHORITY)?, "the authority's key")?),
            device: rows
                .key(DEVICE)?
                .ok_or(MaterialError::Damaged("the device's key"))?,
            chain: rows.list(CHAIN)?,
            ca: rows.must(CA)?,
            site: rows
                .one(SITE)?
                .map(|site| text(site)?.parse().ok())
                .map_or(Ok(None), |site| {
                    site.map(Some)
                        .ok_or(MaterialError::Damaged("the site's id"))
                })?,
            centre: rows
                .list(CENTRE)?
                .into_iter()
                .map(|address| text(address).ok_or(MaterialError::Damaged("an address")))
                .collect::<Result<_, _>>()?,
            statements: statements
                .iter()
                .map(|bytes| codec::decode(bytes))
                .collect::<Result<_, _>>()
                .map_err(|_| MaterialError::Damaged("a statement"))?,
            keys,
        })
    }
}

/// What a device is made of as rows: names, positions and values. Wiped when dropped.
#[derive(Clone)]
pub(crate) struct MaterialRows(Vec<(Vec<u8>, u64, Zeroizing<Vec<u8>>)>);

impl MaterialRows {
    /// As bytes, to be sealed.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let rows = self.0.iter();
        let mut plain: Vec<(Vec<u8>, u64, Vec<u8>)> = rows
            .map(|(name, position, value)| (name.clone(), *position, value.to_vec()))
            .collect();
        let bytes = Zeroizing::new(codec::encode(&plain));
        for (_, _, value) in &mut plain {
            value.zeroize();
        }
        bytes
    }

    /// Reads [`MaterialRows::encode`].
    ///
    /// # Errors
    /// [`Reason::Malformed`] when the bytes are no such rows.
    pub(crate) fn decode(bytes: &[u8]) -> Result<MaterialRows, Reason> {
        let plain: Vec<(Vec<u8>, u64, Vec<u8>)> = codec::decode(bytes)?;
        let rows = plain.into_iter();
        let rows = rows.map(|(name, position, value)| (name, position, Zeroizing::new(value)));
        Ok(MaterialRows(rows.collect()))
    }
}

impl Material {
    /// The rows of a store that [`Material::save`] has written.
    ///
    /// # Errors
    /// Failures of the store.
    pub(crate) fn rows<P: Snapshot>(snapshot: &P) -> Result<MaterialRows, StoreError> {
        let mut rows = Vec::new();
        for name in ALL {
            for (position, value) in snapshot.range(Table::Meta, name, 0, LIST_MAX)? {
                rows.push((name.to_vec(), position, Zeroizing::new(value)));
            }
        }
        Ok(MaterialRows(rows))
    }

    /// What such rows say. A name that is not ours is left out.
    ///
    /// # Errors
    /// [`MaterialError`] says what is missing.
    pub(crate) fn of_rows(rows: MaterialRows) -> Result<Material, MaterialError> {
        let mut store = MemoryStore::new();
        let mut batch = Batch::new();
        for (name, position, value) in rows.0 {
            if ALL.contains(&&*name) {
                batch.put(Table::Meta, name, position, value.to_vec());
            }
        }
        store.commit(batch)?;
        Material::load(&store)
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Material")
            .field("tenant", &self.tenant)
            .field("device", &self.device)
            .field("site", &self.site)
            .field("statements", &self.statements.len())
            .field("centre_keys", &self.keys.is_some())
            .finish_non_exhaustive()
    }
}

/// Reads rows that this module wrote.
struct Rows<P>(P);

impl<P: Snapshot> Rows<P> {
    fn one(&self, name: &[u8]) -> Result<Option<Vec<u8>>, MaterialError> {
        Ok(self.0.get(Table::Meta, name, 0)?)
    }

    fn must(&self, name: &'static [u8]) -> Result<Vec<u8>, MaterialError> {
        let what = str::from_utf8(name).unwrap_or("a row");
        self.one(name)?.ok_or(MaterialError::Damaged(what))
    }

    fn list(&self, name: &[u8]) -> Result<Vec<Vec<u8>>, MaterialError> {
        let rows = self.0.range(Table::Meta, name, 0, LIST_MAX)?;
        Ok(rows.into_iter().map(|(_, value)| value).collect())
    }

    fn key(&self, name: &[u8]) -> Result<Option<DeviceKey>, MaterialError> {
        let Some(seed) = self.one(name)?.map(Zeroizing::new) else {
            return Ok(None);
        };
        let seed = Zeroizing::new(fixed(&seed, "a key")?);
        Ok(Some(DeviceKey::from_seed(&seed)))
    }
}

fn fixed<const N: usize>(bytes: &[u8], what: &'static str) -> Result<[u8; N], MaterialError> {
    bytes.try_into().map_err(|_| MaterialError::Damaged(what))
}

fn text(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use node::store::MemoryStore;

    use super::*;

    fn material() -> Material {
        Material {
            tenant: TenantId([1; 16]),
            tenant_key: TenantKey([2; 32]),
            authority: PublicKey([3; 32]),
            device: DeviceKey::from_seed(&[4; 32]),
            chain: vec![vec![5; 300], vec![6; 200]],
            ca: vec![7; 250],
            site: Some("devizes".parse().unwrap()),
            centre: vec!["centre.example:4433".to_owned(), "10.0.0.1:4433".to_owned()],
            statements: Vec::new(),
            keys: None,
        }
    }

    fn assert_same(one: &Material, other: &Material) {
        assert_eq!(one.tenant, other.tenant);
        assert!(one.tenant_key == other.tenant_key);
        assert_eq!(one.authority, other.authority);
        assert_eq!(one.device.public(), other.device.public());
        assert_eq!((&one.chain, &one.ca), (&other.chain, &other.ca));
        assert_eq!((&one.site, &one.centre), (&other.site, &other.centre));
        assert_eq!(one.keys.is_some(), other.keys.is_some());
    }

    #[test]
    fn what_is_saved_reads_back() {
        let mut store = MemoryStore::default();
        assert_eq!(Material::load(&store).err(), Some(MaterialError::Missing));
        let mut made = material();
        made.save(&mut store).unwrap();
        assert_same(&made, &Material::load(&store).unwrap());
        made.keys = Some(CentreKeys {
            ca: DeviceKey::from_seed(&[8; 32]),
            authority: DeviceKey::from_seed(&[9; 32]),
        });
        made.centre.clear();
        made.chain.truncate(1);
        made.site = None;
        made.save(&mut store).unwrap();
        let read = Material::load(&store).unwrap();
        assert_same(&made, &read);
        let keys = read.keys.unwrap();
        assert_eq!(keys.ca.public(), DeviceKey::from_seed(&[8; 32]).public());
        assert_eq!(
            keys.authority.public(),
            DeviceKey::from_seed(&[9; 32]).public()
        );
    }

    #[test]
    fn an_enrolment_that_was_begun_is_the_same_device_later() {
        let mut store = MemoryStore::default();
        assert!(Material::begun(&store).unwrap().is_none());
        let device = DeviceKey::from_seed(&[4; 32]);
        Material::begin(&mut store, &device).unwrap();
        let refused = Material::load(&store).err();
        assert_eq!(refused, Some(MaterialError::Unfinished));
        let begun = Material::begun(&store).unwrap().unwrap();
        assert_eq!(begun.public(), device.public());
        material().save(&mut store).unwrap();
        assert!(Material::begun(&store).unwrap().is_none());
        assert!(Material::load(&store).is_ok());
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut store = MemoryStore::default();
        material().save(&mut store).unwrap();
        let mut batch = Batch::new();
        batch.delete(Table::Meta, DEVICE, 0);
        store.commit(batch).unwrap();
        let refused = Material::load(&store).err().unwrap();
        assert_eq!(refused, MaterialError::Damaged("the device's key"));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let printed = format!("{:?}", material());
        assert!(
            !printed.contains("[2, 2") && !printed.contains("0404"),
            "{printed}"
        );
    }
}
