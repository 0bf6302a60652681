//! Accesses: what principals did that changes no object, for the audit: requests that were refused, sign-ins, exports
//! and downloads.
//!
//! Texts come from requests and are cut. The caller bounds the rate of records: one may stand for many accesses.

use crate::bytes::{EntryError, Reader, Stored};
use crate::limits::ACCESS_TEXT_MAX;
use crate::value::Text;

/// A text of a request, cut to its maximum.
pub type AccessText = Text<0, ACCESS_TEXT_MAX>;

/// What a principal did. Never has a secret: no header, no body, no query of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// A request was refused, because the principal may not do this.
    Refused {
        /// The method.
        method: AccessText,
        /// The path, without its query.
        path: AccessText,
        /// Why, as the response says.
        reason: AccessText,
    },
    /// A person began a browser session.
    SignedIn,
    /// An export was ordered.
    Exported(Export),
    /// The file of an export was fetched by its link, which is recorded as that of the principal who ordered it.
    Downloaded {
        /// The id of the export.
        job: AccessText,
    },
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its id; empty if the file was sent at once.
    pub job: AccessText,
    /// The name of the report.
    pub report: AccessText,
    /// The format of the file.
    pub format: AccessText,
    /// The filter; empty for all devices.
    pub filter: AccessText,
    /// The columns, separated by commas; empty for all.
    pub select: AccessText,
}

/// An access, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRecord {
    /// The access.
    pub access: Access,
    /// Accesses of the same kind by the same principal since its last record that have no record.
    pub unrecorded: u32,
}

impl AccessText {
    /// The text; one that is too long ends with an ellipsis.
    #[must_use]
    pub fn cut(text: &str) -> Self {
        let kept = Self::new(text);
        kept.unwrap_or_else(|| {
            let begin = text.chars().take(ACCESS_TEXT_MAX - 1);
            let cut: String = begin.chain(['\u{2026}']).collect();
            Self::new(&cut).unwrap_or_default()
        })
    }
}

impl Access {
    /// What was done, in the words of Graph's audit.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Refused { method, .. } => match method.as_str() {
                "POST" => "Create",
                "PATCH" | "PUT" => "Patch",
                "DELETE" => "Delete",
                _ => "Get",
            },
            Self::SignedIn => "Action",
            Self::Exported(_) => "Create",
            Self::Downloaded { .. } => "Get",
        }
    }

    /// The operation, or the name of the action.
    #[must_use]
    pub fn activity(&self) -> &'static str {
        match self {
            Self::SignedIn => "signIn",
            _ => self.operation(),
        }
    }

    /// What it was done to.
    #[must_use]
    pub const fn resource_type(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "Request",
            Self::SignedIn => "Console",
            Self::Exported(_) | Self::Downloaded { .. } => "DeviceManagementExportJob",
        }
    }

    /// The name and the id of what it was done to, as far as it has them.
    #[must_use]
    pub fn resource(&self) -> (Option<&str>, Option<&str>) {
        let (name, id) = match self {
            Self::Refused { path, .. } => (path.as_str(), ""),
            Self::SignedIn => ("", ""),
            Self::Exported(export) => (export.report.as_str(), export.job.as_str()),
            Self::Downloaded { job } => ("", job.as_str()),
        };
        let [name, id] = [name, id].map(|text| Some(text).filter(|text| !text.is_empty()));
        (name, id)
    }

    /// Whether it was refused.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Every text with its name.
    pub(crate) fn texts(&self) -> Vec<(&'static str, &AccessText)> {
        match self {
            Self::Refused {
                method,
                path,
                reason,
            } => vec![("method", method), ("path", path), ("reason", reason)],
            Self::SignedIn => Vec::new(),
            Self::Exported(export) => vec![
                ("job", &export.job),
                ("report", &export.report),
                ("format", &export.format),
                ("filter", &export.filter),
                ("select", &export.select),
            ],
            Self::Downloaded { job } => vec![("job", job)],
        }
    }

    const fn code(&self) -> u8 {
        match self {
            Self::Refused { .. } => 0,
            Self::SignedIn => 1,
            Self::Exported(_) => 2,
            Self::Downloaded { .. } => 3,
        }
    }
}

impl Stored for AccessRecord {
    fn put(&self, into: &mut Vec<u8>) {
        self.access.code().put(into);
        for (_, text) in self.access.texts() {
            text.put(into);
        }
        self.unrecorded.put(into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        let access = match u8::take(from)? {
            0 => Access::Refused {
                method: Stored::take(from)?,
                path: Stored::take(from)?,
                reason: Stored::take(from)?,
            },
            1 => Access::SignedIn,
            2 => Access::Exported(Export {
                job: Stored::take(from)?,
                report: Stored::take(from)?,
                format: Stored::take(from)?,
                filter: Stored::take(from)?,
                select: Stored::take(from)?,
            }),
            3 => Access::Downloaded {
                job: Stored::take(from)?,
            },
            _ => return Err(EntryError::Invalid("kind of access")),
        };
        let unrecorded = Stored::take(from)?;
        Ok(Self { access, unrecorded })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_is_cut_visibly() {
        assert_eq!(AccessText::cut("short").as_str(), "short");
        let whole = "\u{1f600}".repeat(ACCESS_TEXT_MAX);
        assert_eq!(AccessText::cut(&whole).as_str(), whole);
        let cut = AccessText::cut(&(whole + "x"));
        assert_eq!(cut.as_str().chars().count(), ACCESS_TEXT_MAX);
        assert!(cut.as_str().ends_with('\u{2026}'));
    }
}
