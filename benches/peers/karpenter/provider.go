package main

import (
	"context"
	"errors"

	"github.com/awslabs/operatorpkg/status"
	"sigs.k8s.io/karpenter/kwok/apis/v1alpha1"
	v1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider"
)

// shop is a cloud that sells what the catalog says and launches nothing: what is decided is
// written down, not done.
type shop struct {
	types []*cloudprovider.InstanceType
}

var errNothingRuns = errors.New("this cloud only has prices")

func (s *shop) Create(context.Context, *v1.NodeClaim) (*v1.NodeClaim, error) {
	return nil, errNothingRuns
}
func (s *shop) Delete(context.Context, *v1.NodeClaim) error { return errNothingRuns }
func (s *shop) Get(context.Context, string) (*v1.NodeClaim, error) {
	return nil, errNothingRuns
}
func (s *shop) List(context.Context) ([]*v1.NodeClaim, error) { return nil, nil }

func (s *shop) GetInstanceTypes(context.Context, *v1.NodePool) ([]*cloudprovider.InstanceType, error) {
	return s.types, nil
}

func (s *shop) IsDrifted(context.Context, *v1.NodeClaim) (cloudprovider.DriftReason, error) {
	return "", nil
}
func (s *shop) RepairPolicies() []cloudprovider.RepairPolicy { return nil }
func (s *shop) Name() string                                 { return "catalog" }
func (s *shop) GetSupportedNodeClasses() []status.Object {
	return []status.Object{&v1alpha1.KWOKNodeClass{}}
}
