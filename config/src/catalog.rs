//! What may be named beside what the file itself defines: vendors and operations. Plain data, filled by adapters.

/// Everything that a configuration may name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Vendors, by name.
    pub vendors: Vec<Vendor>,
    /// Operations, in the order that they are told to people.
    pub operations: Vec<Operation>,
}

/// A vendor as a configuration sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vendor {
    /// Name.
    pub name: String,
    /// What an account of it has.
    pub fields: Vec<Field>,
    /// Operations that it offers.
    pub operations: Vec<String>,
}

/// One field of a vendor's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Key.
    pub name: String,
    /// Whether it must come from outside the file.
    pub secret: bool,
    /// Whether it must be given.
    pub required: bool,
    /// What it is.
    pub doc: String,
}

/// An operation as a configuration sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// `speech.transcribe`.
    pub name: String,
    /// Where it is served unless a route says otherwise: `POST /v1/audio/transcriptions`.
    pub front: String,
}

impl Catalog {
    pub(crate) fn vendor(&self, name: &str) -> Option<&Vendor> {
        self.vendors.iter().find(|vendor| vendor.name == name)
    }

    pub(crate) fn offers(&self, vendor: &str, operation: &str) -> bool {
        self.vendor(vendor)
            .is_some_and(|vendor| vendor.operations.iter().any(|known| known == operation))
    }

    /// Names that `capabilities` may have: operations, and the capabilities that they belong to.
    pub(crate) fn capability_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .operations
            .iter()
            .map(|operation| operation.name.as_str())
            .collect();
        for operation in &self.operations {
            let capability = operation.capability();
            if !names.contains(&capability) {
                names.push(capability);
            }
        }
        names
    }
}

impl Operation {
    /// `speech` of `speech.transcribe`.
    pub(crate) fn capability(&self) -> &str {
        self.name.split('.').next().unwrap_or(&self.name)
    }
}
