//! What a ClaimDefinition means, or what is wrong with it.

use std::fmt;

use crate::api::{ClaimDefinition, ClaimParameter, ClaimSize};

/// What stands behind a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// A PostgreSQL database.
    PostgreSql,
    /// A virtual machine.
    VirtualMachine,
}

impl Service {
    /// The service of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::PostgreSql, Self::VirtualMachine].into_iter().find(|one| one.as_str() == name)
    }

    /// Its name in definitions and providers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PostgreSql => "PostgreSQL",
            Self::VirtualMachine => "VirtualMachine",
        }
    }

    /// What an update may do to the size of its claims.
    pub const fn size_change(self) -> Change {
        match self {
            Self::PostgreSql => Change::Free,
            Self::VirtualMachine => Change::Never,
        }
    }

    /// The parameters that its claims may have.
    pub const fn parameters(self) -> &'static [Known] {
        match self {
            Self::PostgreSql => &[VERSION, STORAGE, CIDRS],
            Self::VirtualMachine => &[IMAGE, DISK, SSH_KEYS, PACKAGES],
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A parameter that Berth knows what to do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: &'static str,
    /// What kind of value it has.
    pub form: Form,
    /// What an update may do to it.
    pub change: Change,
}

/// What kind of value a parameter has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One of the definition's values, which match this pattern.
    Choice(&'static str),
    /// A whole number.
    Number,
    /// Texts that match this pattern, each so long at most.
    List(&'static str, u32),
}

/// What an update may do to a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Anything.
    Free,
    /// It may grow.
    Grow,
    /// Nothing: another value is another thing.
    Never,
}

const VERSION: Known =
    Known { name: "version", form: Form::Choice("^[1-9][0-9]{0,2}$"), change: Change::Never };
const STORAGE: Known = Known { name: "storageGB", form: Form::Number, change: Change::Grow };
const CIDRS: Known = Known {
    name: "allowedCIDRs",
    // A prefix of length 0 is everybody.
    form: Form::List("^[0-9a-fA-F.:]+/[1-9][0-9]{0,2}$", 50),
    change: Change::Free,
};
const IMAGE: Known = Known {
    name: "image",
    form: Form::Choice("^[A-Za-z0-9][A-Za-z0-9._-]*$"),
    change: Change::Never,
};
const DISK: Known = Known { name: "diskGB", form: Form::Number, change: Change::Never };
const SSH_KEYS: Known = Known {
    name: "sshPublicKeys",
    form: Form::List(r"^(ssh|ecdsa|sk)-[a-z0-9@.-]+ [A-Za-z0-9+/=]+( [^\r\n]*)?$", 2_000),
    change: Change::Never,
};
const PACKAGES: Known = Known {
    name: "packages",
    form: Form::List(r"^[a-z0-9][a-z0-9+.:~-]*$", 100),
    change: Change::Never,
};

/// A definition that makes sense.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// The name of the ClaimDefinition.
    pub name: String,
    /// The API group of its claims.
    pub group: String,
    /// The version of their API.
    pub version: String,
    /// Their kind.
    pub kind: String,
    /// Their plural.
    pub plural: String,
    /// Their singular.
    pub singular: String,
    /// Short names for them.
    pub short_names: Vec<String>,
    /// What stands behind them.
    pub service: Service,
    /// Their sizes.
    pub sizes: Vec<ClaimSize>,
    /// The size of a claim that names none.
    pub default_size: Option<String>,
    /// Their parameters, beside the size.
    pub parameters: Vec<Parameter>,
    /// Whether what a claim stood for outlives it, unless the claim says otherwise.
    pub retain: bool,
}

/// A parameter of a kind of claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// What it is.
    pub known: Known,
    /// How the definition bounds it.
    pub bounds: ClaimParameter,
}

impl Definition {
    /// Reads a ClaimDefinition.
    ///
    /// # Errors
    /// The field that makes no sense, what is wrong with it, and what would be right. The API
    /// server's schema refuses most of it before; files have seen no API server.
    pub fn read(object: &ClaimDefinition) -> Result<Self, String> {
        let spec = &object.spec;
        let service = Service::named(&spec.service).ok_or_else(|| {
            format!(
                "spec.service: {:?} is none: expected PostgreSQL or VirtualMachine",
                spec.service
            )
        })?;
        let parameter = |(index, bounds): (usize, &ClaimParameter)| {
            parameter(service, bounds)
                .map_err(|problem| format!("spec.parameters[{index}] ({}): {problem}", bounds.name))
        };
        let parameters =
            spec.parameters.iter().enumerate().map(parameter).collect::<Result<Vec<_>, _>>()?;
        for (index, one) in parameters.iter().enumerate() {
            if parameters[..index].iter().any(|other| other.known.name == one.known.name) {
                let name = one.known.name;
                return Err(format!("spec.parameters[{index}]: {name} is there twice"));
            }
        }
        for name in REQUIRED.iter().filter(|(of, _)| *of == service).map(|(_, name)| *name) {
            let found = parameters.iter().find(|one| one.known.name == name);
            if !found.is_some_and(|one| one.bounds.required || one.bounds.default.is_some()) {
                return Err(format!(
                    "spec.parameters: {service} needs {name}, required or with a default"
                ));
            }
        }
        let kind = spec.names.kind.clone();
        let singular = spec.names.singular.clone().unwrap_or_else(|| kind.to_ascii_lowercase());
        Ok(Self {
            name: object.metadata.name.clone().unwrap_or_default(),
            group: spec.group.clone(),
            version: spec.version.clone(),
            singular,
            kind,
            plural: spec.names.plural.clone(),
            short_names: spec.names.short_names.clone(),
            service,
            sizes: spec.sizes.clone(),
            default_size: spec.default_size.clone(),
            parameters,
            retain: spec.deletion_policy != "Delete",
        })
    }

    /// The name of its CustomResourceDefinition.
    pub fn crd_name(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }

    /// `group/version` of its claims.
    pub fn api_version(&self) -> String {
        format!("{}/{}", self.group, self.version)
    }
}

impl Parameter {
    /// The value of a claim that gives none.
    pub fn default_value(&self) -> Option<serde_json::Value> {
        let text = self.bounds.default.as_ref()?;
        match self.known.form {
            Form::Number => text.parse::<i64>().ok().map(Into::into),
            Form::Choice(_) | Form::List(..) => Some(text.as_str().into()),
        }
    }
}

/// What no provider can do without.
const REQUIRED: [(Service, &str); 2] =
    [(Service::PostgreSql, "version"), (Service::VirtualMachine, "image")];

fn parameter(service: Service, bounds: &ClaimParameter) -> Result<Parameter, String> {
    let known = service.parameters().iter().find(|known| known.name == bounds.name);
    let known = *known.ok_or_else(|| {
        let names: Vec<&str> = service.parameters().iter().map(|known| known.name).collect();
        format!("{service} has no such parameter: expected one of {}", names.join(", "))
    })?;
    let has_bounds = bounds.minimum.is_some() || bounds.maximum.is_some();
    match known.form {
        Form::Choice(pattern) => {
            if bounds.values.is_empty() {
                return Err("values is missing: expected the values that there are".to_owned());
            }
            if has_bounds {
                return Err("minimum and maximum are for numbers: expected values alone".to_owned());
            }
            if let Some(value) = bounds.values.iter().find(|value| !matches(pattern, value)) {
                return Err(format!("values: {value:?} does not match {pattern}"));
            }
            if let Some(default) = &bounds.default
                && !bounds.values.contains(default)
            {
                return Err(format!("default: {default:?} is not among the values"));
            }
        }
        Form::Number => {
            if !bounds.values.is_empty() {
                return Err("values is for texts: expected minimum and maximum".to_owned());
            }
            if let Some(default) = &bounds.default {
                let number: i64 = default
                    .parse()
                    .map_err(|_| format!("default: {default:?} is no whole number"))?;
                let (least, most) = number_bounds(bounds);
                if !(least..=most).contains(&number) {
                    return Err(format!("default: {number} is not from {least} to {most}"));
                }
            }
        }
        Form::List(..) => {
            if bounds.default.is_some() || !bounds.values.is_empty() || bounds.minimum.is_some() {
                return Err("a list has neither values, default nor minimum".to_owned());
            }
        }
    }
    Ok(Parameter { known, bounds: bounds.clone() })
}

/// The least and the most of a number.
pub(super) fn number_bounds(bounds: &ClaimParameter) -> (i64, i64) {
    (bounds.minimum.unwrap_or(1), bounds.maximum.unwrap_or(100_000))
}

/// Whether a text has the form that a pattern asks for.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    // The patterns are constants; a test compiles each.
    regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
}
