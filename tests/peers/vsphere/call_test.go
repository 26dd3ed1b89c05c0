package main

import (
	"context"
	"fmt"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"
)

// roundTrip calls the methods that govmomi's objects have no wrapper for.
func roundTrip(ctx context.Context, c soap.RoundTripper, req any) (any, error) {
	switch r := req.(type) {
	case *types.RemoveSnapshot_Task:
		res, err := methods.RemoveSnapshot_Task(ctx, c, r)
		if err != nil {
			return nil, err
		}
		return res.Returnval, nil
	case *types.RevertToSnapshot_Task:
		res, err := methods.RevertToSnapshot_Task(ctx, c, r)
		if err != nil {
			return nil, err
		}
		return res.Returnval, nil
	case *types.ConsolidateVMDisks_Task:
		res, err := methods.ConsolidateVMDisks_Task(ctx, c, r)
		if err != nil {
			return nil, err
		}
		return res.Returnval, nil
	case *types.QueryChangedDiskAreas:
		res, err := methods.QueryChangedDiskAreas(ctx, c, r)
		if err != nil {
			return nil, err
		}
		return res.Returnval, nil
	case *types.CurrentTime:
		res, err := methods.CurrentTime(ctx, c, r)
		if err != nil {
			return nil, err
		}
		return res.Returnval, nil
	}
	return nil, fmt.Errorf("no call for %T", req)
}
