//! Writes partial objects. A partial object is an object with only its metadata, or a row of a table.
//!
//! For partial objects, the responses have the same format as those of an API server of version 1.36.

use serde_json::{Value, json};

use super::requests::ApiRequest;

/// A form in which the server can send objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Whole,
    Metadata,
    Table,
}

impl Form {
    /// Returns the first form in the `Accept` header, which the request prefers.
    pub(super) fn of(request: &ApiRequest) -> Self {
        let first = request.accept.split(',').next().unwrap_or_default();
        let form = first.split(';').find_map(|part| part.strip_prefix("as="));
        match form {
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Self::Metadata,
            Some("Table") => Self::Table,
            Some(form) => panic!("{form} is not supported"),
            None => Self::Whole,
        }
    }

    /// Returns the object of an event. The first event of a watch also has the `columns` of the table.
    pub(super) fn event(self, object: &Value, columns: Option<Value>) -> Value {
        match self {
            Self::Whole => object.clone(),
            Self::Metadata => partial(object),
            Self::Table => {
                let version = &object["metadata"]["resourceVersion"];
                json!({
                    "kind": "Table", "apiVersion": "meta.k8s.io/v1",
                    "metadata": { "resourceVersion": version },
                    "columnDefinitions": columns, "rows": [row(object)],
                })
            }
        }
    }

    pub(super) fn list(
        self,
        kind: &str,
        metadata: &Value,
        objects: &[Value],
        columns: Value,
    ) -> Value {
        match self {
            Self::Whole => {
                json!({ "kind": format!("{kind}List"), "metadata": metadata, "items": objects })
            }
            Self::Metadata => {
                let items: Vec<_> = objects.iter().map(partial).collect();
                json!({
                    "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": metadata, "items": items,
                })
            }
            Self::Table => {
                let rows: Vec<_> = objects.iter().map(row).collect();
                json!({
                    "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                    "columnDefinitions": columns, "rows": rows,
                })
            }
        }
    }
}

/// Returns the columns of a table of secrets.
pub(super) fn columns(names: &[&str]) -> Value {
    let columns = names.iter().map(|name| {
        json!({ "name": name, "type": "string", "format": "", "description": "[\"rows\":[", "priority": 0 })
    });
    columns.collect()
}

fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

fn row(object: &Value) -> Value {
    let number = object["data"].as_object().map_or(0, |data| data.len());
    let kind = object["type"].as_str().unwrap_or_default();
    json!({
        "cells": [object["metadata"]["name"], kind, number, "2s"],
        "object": partial(object),
    })
}
